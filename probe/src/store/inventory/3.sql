-- Version 3: what is usual, per operation (caller is empty) and per edge (method and path are empty). `norm` is JSON.
CREATE TABLE baseline (
    service TEXT NOT NULL, caller TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT NOT NULL,
    minutes INTEGER NOT NULL, last_seen INTEGER NOT NULL, norm TEXT NOT NULL,
    PRIMARY KEY (service, caller, method, path, operation)
) WITHOUT ROWID;
