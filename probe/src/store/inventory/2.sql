-- Version 2: endpoints have numbers; bodies, edges, bytes, TLS and sensitive classes are kept.
ALTER TABLE endpoint RENAME TO endpoint_1;
ALTER TABLE fact RENAME TO fact_1;

CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL, run INTEGER NOT NULL,
    service TEXT NOT NULL, protocol TEXT NOT NULL, vantage TEXT NOT NULL,
    path TEXT NOT NULL, method TEXT NOT NULL, operation TEXT NOT NULL, version TEXT NOT NULL,
    first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    calls INTEGER NOT NULL, errors INTEGER NOT NULL, unanswered INTEGER NOT NULL, accepted INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
    encrypted INTEGER NOT NULL, anonymous INTEGER NOT NULL,
    request_classes TEXT NOT NULL, response_classes TEXT NOT NULL,
    UNIQUE (origin, run, service, protocol, vantage, path, method, operation)
);

CREATE TABLE fact (
    endpoint INTEGER NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    kind TEXT NOT NULL, value TEXT NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (endpoint, kind, value)
) WITHOUT ROWID;

CREATE TABLE body (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    status INTEGER NOT NULL, format TEXT NOT NULL, whole INTEGER NOT NULL,
    bodies INTEGER NOT NULL, more INTEGER NOT NULL, sensitive TEXT NOT NULL,
    UNIQUE (endpoint, status, format, whole)
);

CREATE TABLE place (
    body INTEGER NOT NULL REFERENCES body ON DELETE CASCADE,
    path TEXT NOT NULL, kinds TEXT NOT NULL, formats TEXT NOT NULL, classes TEXT NOT NULL,
    count INTEGER NOT NULL, objects INTEGER NOT NULL, longest INTEGER NOT NULL,
    PRIMARY KEY (body, path)
) WITHOUT ROWID;

CREATE TABLE edge (
    origin TEXT NOT NULL, run INTEGER NOT NULL,
    caller TEXT NOT NULL, service TEXT NOT NULL, protocol TEXT NOT NULL, vantage TEXT NOT NULL,
    first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    calls INTEGER NOT NULL, errors INTEGER NOT NULL, unanswered INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL,
    encrypted INTEGER NOT NULL, anonymous INTEGER NOT NULL,
    request_classes TEXT NOT NULL, response_classes TEXT NOT NULL,
    PRIMARY KEY (origin, run, caller, service, protocol, vantage)
) WITHOUT ROWID;

CREATE VIEW operation AS
    SELECT service, method, path, operation, protocol, max(version) AS version, sum(calls) AS calls, sum(errors) AS errors,
        datetime(min(first_seen) / 1000000000, 'unixepoch') AS first_seen,
        datetime(max(last_seen) / 1000000000, 'unixepoch') AS last_seen
    FROM endpoint
    GROUP BY service, method, path, operation, protocol;

CREATE VIEW property AS
    SELECT e.service, e.method, e.path AS endpoint, e.operation, b.status, b.format, p.path, p.kinds, p.formats, p.classes,
        p.count
    FROM place p JOIN body b ON b.id = p.body JOIN endpoint e ON e.id = b.endpoint;

INSERT INTO endpoint (origin, run, service, protocol, vantage, path, method, operation, version, first_seen, last_seen,
        calls, errors, unanswered, accepted, request_bytes, response_bytes, encrypted, anonymous, request_classes, response_classes)
    SELECT origin, run, service, protocol, vantage, path, method, operation, '', first_seen, last_seen,
        calls, errors, unanswered, accepted, 0, 0, 0, 0, '', ''
    FROM endpoint_1;

INSERT INTO fact
    SELECT e.id, f.kind, f.value, f.calls
    FROM fact_1 f JOIN endpoint e USING (origin, run, service, protocol, vantage, path, method, operation);

-- Until then an edge was what the callers of endpoints told.
INSERT INTO edge
    SELECT e.origin, e.run, f.value, e.service, e.protocol, e.vantage, min(e.first_seen), max(e.last_seen),
        sum(f.calls), 0, 0, 0, 0, 0, 0, '', ''
    FROM fact f JOIN endpoint e ON e.id = f.endpoint
    WHERE f.kind = 'caller'
    GROUP BY e.origin, e.run, f.value, e.service, e.protocol, e.vantage;

DROP TABLE fact_1;
DROP TABLE endpoint_1;
