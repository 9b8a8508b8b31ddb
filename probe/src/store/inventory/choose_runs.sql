-- Every row of an endpoint of which some run has not been added up.
DROP TABLE IF EXISTS temp.chosen;
CREATE TEMP TABLE chosen AS
    SELECT id FROM main.endpoint
    WHERE (origin, service, protocol, vantage, path, method, operation) IN (
        SELECT origin, service, protocol, vantage, path, method, operation FROM main.endpoint WHERE run > 0);
