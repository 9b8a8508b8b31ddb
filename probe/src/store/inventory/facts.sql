SELECT service, protocol, vantage, path, method, operation, kind, value, sum(calls)
FROM fact
GROUP BY service, protocol, vantage, path, method, operation, kind, value
