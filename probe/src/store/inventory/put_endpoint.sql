INSERT INTO endpoint (origin, run, service, protocol, vantage, path, method, operation, version, first_seen, last_seen,
    calls, errors, unanswered, accepted, request_bytes, response_bytes, encrypted, anonymous, request_classes, response_classes,
    mutual)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
ON CONFLICT (origin, run, service, protocol, vantage, path, method, operation) DO UPDATE SET
    version = excluded.version, first_seen = excluded.first_seen, last_seen = excluded.last_seen, calls = excluded.calls,
    errors = excluded.errors, unanswered = excluded.unanswered, accepted = excluded.accepted,
    request_bytes = excluded.request_bytes, response_bytes = excluded.response_bytes, encrypted = excluded.encrypted,
    anonymous = excluded.anonymous, request_classes = excluded.request_classes, response_classes = excluded.response_classes,
    mutual = excluded.mutual
RETURNING id
