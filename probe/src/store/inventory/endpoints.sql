SELECT service, protocol, vantage, path, method, operation, id, origin, first_seen, last_seen, calls, errors, unanswered,
    request_bytes, response_bytes, encrypted, anonymous, request_classes, response_classes, mutual
FROM endpoint
WHERE id IN (SELECT id FROM temp.chosen)
