-- The runs of every origin become its run 0.
CREATE TEMP TABLE summed AS
    SELECT origin, 0 AS run, service, protocol, vantage, path, method, operation,
        min(first_seen), max(last_seen), sum(calls), sum(errors), sum(unanswered), max(accepted)
    FROM main.endpoint
    WHERE (origin, service) IN (SELECT origin, service FROM main.endpoint WHERE run > 0)
    GROUP BY origin, service, protocol, vantage, path, method, operation;
DELETE FROM main.endpoint WHERE (origin, service) IN (SELECT origin, service FROM main.endpoint WHERE run > 0);
INSERT INTO main.endpoint SELECT * FROM summed;
DROP TABLE summed;

CREATE TEMP TABLE summed AS
    SELECT origin, 0 AS run, service, protocol, vantage, path, method, operation, kind, value, sum(calls)
    FROM main.fact
    WHERE (origin, service) IN (SELECT origin, service FROM main.fact WHERE run > 0)
    GROUP BY origin, service, protocol, vantage, path, method, operation, kind, value;
DELETE FROM main.fact WHERE (origin, service) IN (SELECT origin, service FROM main.fact WHERE run > 0);
INSERT INTO main.fact SELECT * FROM summed;
DROP TABLE summed;
