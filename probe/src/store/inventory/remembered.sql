SELECT service, protocol, vantage, path, method, operation,
    min(first_seen), max(last_seen), sum(calls), max(accepted)
FROM endpoint
GROUP BY service, protocol, vantage, path, method, operation
ORDER BY max(last_seen) DESC
LIMIT ?1
