-- SPDX-License-Identifier: Apache-2.0
-- The login of Grafana: may what earshot_reader may, read the views in v1, and nothing else. PostgreSQL's image runs this once, on an empty
-- volume; on another: docker compose -f docker/compose.yml exec postgres psql -U earshot -f /docker-entrypoint-initdb.d/grafana.sql
-- It may be run again: the password is then the one of docker/secrets.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/grafana_password`
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest(ARRAY['earshot_reader', 'grafana']) AS name
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE grafana LOGIN CONNECTION LIMIT 20 PASSWORD :'password';
GRANT earshot_reader TO grafana;
