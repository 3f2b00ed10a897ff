SELECT pg_advisory_xact_lock(hashtextextended('vitrine/owner/' || $1, 0))
