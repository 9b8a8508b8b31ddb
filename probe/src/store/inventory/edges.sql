SELECT caller, service, protocol, vantage, origin, first_seen, last_seen, calls, errors, unanswered,
    request_bytes, response_bytes, encrypted, anonymous, request_classes, response_classes, mutual
FROM edge
