SELECT endpoint, status, format, whole, bodies, more, sensitive
FROM body
WHERE endpoint IN (SELECT id FROM temp.chosen)
