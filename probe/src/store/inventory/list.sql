SELECT service, method, path, operation, protocol, sum(calls), sum(errors), min(first_seen), max(last_seen)
FROM endpoint
GROUP BY service, path, method, operation, protocol
ORDER BY service, path, method, operation, protocol
