SELECT endpoint, kind, value, calls
FROM fact
WHERE endpoint IN (SELECT id FROM temp.chosen)
