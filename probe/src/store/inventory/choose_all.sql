DROP TABLE IF EXISTS temp.chosen;
CREATE TEMP TABLE chosen AS SELECT id FROM main.endpoint;
