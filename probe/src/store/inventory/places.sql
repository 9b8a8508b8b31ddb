SELECT b.endpoint, b.status, b.format, b.whole, p.path, p.kinds, p.formats, p.classes, p.count, p.objects, p.longest
FROM place p JOIN body b ON b.id = p.body
WHERE b.endpoint IN (SELECT id FROM temp.chosen)
