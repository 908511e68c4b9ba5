-- name: controls
-- kind: view
-- about: The wells that serve as controls: every well with a control type that is not excluded.
-- example: SELECT control_type, count(*) FROM controls GROUP BY ALL
SELECT study_id, plate_id, well_id, control_type, perturbation, compound, concentration_um, gene, replicate
FROM wells
WHERE control_type IS NOT NULL AND NOT coalesce(excluded, false)

-- name: well_profiles(objects)
-- kind: table
-- about: Wells as the medians of their objects' numbers, with the number of objects. `objects` is a view of objects
--   (`cells`, `nuclei`, ...) or a common table expression like it.
-- example: SELECT well_id, object_count FROM well_profiles(nuclei) ORDER BY well_id
SELECT study_id, plate_id, well_id, count(*) AS object_count, median(COLUMNS('^[A-Z]\w*_'))
FROM query_table(objects)
GROUP BY study_id, plate_id, well_id
