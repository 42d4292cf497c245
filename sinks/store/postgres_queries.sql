-- SPDX-License-Identifier: Apache-2.0
-- What PostgreSQL words otherwise than queries.sql, under the same names.

-- A post's row is kept from others until the transaction ends.
-- name: insight_hold
SELECT "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight WHERE hash = ?1 FOR UPDATE;

-- name: insight_hold_body
SELECT body, source, day, copy, coalesce(fold, 0), created_us, hash, version, model
FROM insight WHERE "row" = ?1 FOR UPDATE;
