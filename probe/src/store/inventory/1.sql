-- Version 1. Times are Unix nanoseconds; counts are of calls.
CREATE TABLE store (id TEXT NOT NULL);

CREATE TABLE endpoint (
    origin TEXT NOT NULL, run INTEGER NOT NULL,
    service TEXT NOT NULL, protocol TEXT NOT NULL, vantage TEXT NOT NULL,
    path TEXT NOT NULL, method TEXT NOT NULL, operation TEXT NOT NULL,
    first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    calls INTEGER NOT NULL, errors INTEGER NOT NULL, unanswered INTEGER NOT NULL, accepted INTEGER NOT NULL,
    PRIMARY KEY (origin, run, service, protocol, vantage, path, method, operation)
) WITHOUT ROWID;

CREATE TABLE fact (
    origin TEXT NOT NULL, run INTEGER NOT NULL,
    service TEXT NOT NULL, protocol TEXT NOT NULL, vantage TEXT NOT NULL,
    path TEXT NOT NULL, method TEXT NOT NULL, operation TEXT NOT NULL,
    kind TEXT NOT NULL, value TEXT NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (origin, run, service, protocol, vantage, path, method, operation, kind, value)
) WITHOUT ROWID;
