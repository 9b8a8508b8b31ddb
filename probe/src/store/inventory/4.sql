-- Version 4: calls are counted by sensitive class (`card=3`; a class alone, of earlier versions, is one call), and those to which
-- the client showed a certificate.
ALTER TABLE endpoint ADD COLUMN mutual INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edge ADD COLUMN mutual INTEGER NOT NULL DEFAULT 0;
