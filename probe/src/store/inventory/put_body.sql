INSERT INTO body (endpoint, status, format, whole, bodies, more, sensitive)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
RETURNING id
