DELETE FROM fact WHERE NOT EXISTS (
    SELECT 1 FROM endpoint e
    WHERE e.origin = fact.origin AND e.run = fact.run AND e.service = fact.service AND e.protocol = fact.protocol
        AND e.vantage = fact.vantage AND e.path = fact.path AND e.method = fact.method AND e.operation = fact.operation
);
