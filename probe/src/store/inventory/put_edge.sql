INSERT OR REPLACE INTO edge (origin, run, caller, service, protocol, vantage, first_seen, last_seen, calls, errors, unanswered,
    request_bytes, response_bytes, encrypted, anonymous, request_classes, response_classes, mutual)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
