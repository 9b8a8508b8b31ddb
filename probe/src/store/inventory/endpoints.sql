SELECT service, protocol, vantage, path, method, operation,
    min(first_seen), max(last_seen), sum(calls), sum(errors), sum(unanswered)
FROM endpoint
GROUP BY service, protocol, vantage, path, method, operation
