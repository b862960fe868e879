-- What changes a message, by kind and author: a reaction is folded without reading all others.
CREATE INDEX history_changes ON history (conversation, target, kind, author) WHERE target IS NOT NULL;
