-- name: harmonise_perturbation(identifier, namespace := NULL)
-- kind: scalar
-- about: An identifier or name of a compound or gene as a key, `namespace:value`, that is the same however it was
--   written: `inchikey:`, `jcp:`, `brd:` (without batch and supplier), `pubchem:`, `chembl:`, `chebi:`, `entrez:`,
--   `ensembl:` (without version), `hgnc:`, `symbol:` (capital letters) and `name:` (small letters, without blanks and
--   hyphens, Greek letters spelled out). What kind it is, the text says; `namespace` says it of bare numbers and of gene
--   symbols, and overrules; a text that is no number of its namespace (`TP53` as `entrez`) stays as it is behind it.
--   NULL where there is no text.
-- source: The forms are those of the databases: InChIKey (27 characters, IUPAC), JUMP (JCP2022_######), the Broad
--   (BRD-K########-###-##-#), PubChem, ChEMBL, ChEBI, NCBI Gene, Ensembl, HGNC.
-- example: SELECT harmonise_perturbation('BRD-K12345678-001-01-1'), harmonise_perturbation('7157', 'entrez')
list_transform([trim(replace(identifier::VARCHAR, chr(160), ' '))], lambda _t: CASE
  WHEN _t = '' THEN NULL
  WHEN lower(namespace) = 'name' THEN 'name:' || _name_key(_t)
  WHEN lower(namespace) = 'symbol' THEN 'symbol:' || upper(_t)
  WHEN lower(namespace) = 'inchikey' THEN 'inchikey:' || regexp_replace(upper(_t), '^INCHIKEY\s*[=:]\s*', '')
  WHEN lower(namespace) = 'pubchem' AND regexp_matches(_t, '^(?i:((PubChem|CID)([-_.\s]*(CID|COMPOUND))?[-:=_\s]*)?[0-9]+([.]0*)?)$')
    OR lower(namespace) = 'entrez' AND regexp_matches(_t,
      '^(?i:((NCBI[-_\s]?Gene|Entrez([-_\s]?Gene)?|GeneID)([-_\s]?ID)?[-:=_\s]*)?[0-9]+([.]0*)?)$')
    OR lower(namespace) = 'hgnc' AND regexp_matches(_t, '^(?i:(HGNC[:_\s]*)?[0-9]+([.]0*)?)$')
    OR lower(namespace) = 'chebi' AND regexp_matches(_t, '^(?i:(CHEBI[:_\s]*)?[0-9]+([.]0*)?)$')
    THEN lower(namespace) || ':' || coalesce(nullif(ltrim(regexp_extract(_t, '[0-9]+'), '0'), ''), '0')
  WHEN lower(namespace) = 'chembl' AND regexp_matches(_t, '^[0-9]+$') THEN 'chembl:CHEMBL' || _t
  WHEN namespace <> '' AND lower(namespace) NOT IN ('brd', 'chembl', 'ensembl', 'jcp')
    THEN lower(namespace) || ':' || _t
  WHEN regexp_matches(_t, '^(?i:(InChIKey\s*[=:]\s*)?[A-Z]{14}-[A-Z]{10}-[A-Z])$') THEN 'inchikey:' || upper(right(_t, 27))
  WHEN regexp_matches(_t, '^(?i:JCP2022_[0-9]{6})$') THEN 'jcp:' || upper(_t)
  WHEN regexp_matches(_t, '^(?i:BRD-[A-Z][0-9]{8}(-[0-9]{3}-[0-9]{2}-[0-9]+)?)$') THEN 'brd:' || upper(_t[:13])
  WHEN regexp_matches(_t, '^(?i:(CHEMBL[:\s]*)?CHEMBL[:\s]*[0-9]+)$')
    THEN 'chembl:CHEMBL' || regexp_extract(_t, '[0-9]+')
  WHEN regexp_matches(_t, '^(?i:CHEBI[:_\s]+0*[1-9][0-9]*)$') THEN 'chebi:' || regexp_extract(_t, '[1-9][0-9]*')
  WHEN regexp_matches(_t, '^(?i:(PubChem|CID)([-_.\s]*(CID|COMPOUND))?[-:=_\s]*[1-9][0-9]*)$')
    THEN 'pubchem:' || regexp_extract(_t, '[0-9]+')
  WHEN regexp_matches(_t, '^(?i:ENS[A-Z]*G[0-9]{11}([.][0-9]+)?)$') THEN 'ensembl:' || upper(split_part(_t, '.', 1))
  WHEN regexp_matches(_t, '^(?i:HGNC[:_]0*[1-9][0-9]*)$') THEN 'hgnc:' || regexp_extract(_t, '[1-9][0-9]*')
  WHEN regexp_matches(_t, '^(?i:(NCBI[-_\s]?Gene|Entrez([-_\s]?Gene)?|GeneID)([-_\s]?ID)?[-:=_\s]*[0-9]+)$')
    THEN 'entrez:' || regexp_extract(_t, '[0-9]+')
  WHEN namespace <> '' THEN lower(namespace) || ':' || _t
  ELSE 'name:' || _name_key(_t)
END)[1]

-- name: _plain_name(text)
-- kind: scalar
-- about: A name in small letters without accents, Greek letters spelled out, signs of rotation as words.
regexp_replace(regexp_replace(
  CASE WHEN regexp_matches(text, '[^\x00-\x7f]') THEN _ascii_name(text) ELSE lower(text) END,
  '\(\s*(\+\s*/?\s*[-−–]|±)\s*\)', '(rac)', 'g'),
  '\(\s*[-−–]\s*\)', '(minus)', 'g')

-- name: _ascii_name(text)
-- kind: scalar
-- about: A name in small letters without accents, Greek letters spelled out.
replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
  replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
    lower(strip_accents(text)),
    'α', 'alpha'), 'β', 'beta'), 'γ', 'gamma'), 'δ', 'delta'), 'ε', 'epsilon'), 'ζ', 'zeta'), 'η', 'eta'),
    'θ', 'theta'), 'ι', 'iota'), 'κ', 'kappa'), 'λ', 'lambda'), 'μ', 'mu'), 'ν', 'nu'), 'ξ', 'xi'), 'ο', 'omicron'),
    'π', 'pi'), 'ρ', 'rho'), 'σ', 'sigma'), 'ς', 'sigma'), 'τ', 'tau'), 'υ', 'upsilon'), 'φ', 'phi'), 'χ', 'chi'),
    'ψ', 'psi'), 'ω', 'omega'), 'µ', 'mu'), '’', ''''), '′', '''')

-- name: _name_key(text)
-- kind: scalar
-- about: A name without what people write in several ways: case, blanks, hyphens, Greek letters. One of nothing but
--   these stays as it is.
coalesce(nullif(regexp_replace(_plain_name(text), '[\s\x{00a0}\x{00ad}\x{2000}-\x{200b}\x{202f}_\-\x{2010}-\x{2015}\x{2212}]',
  '', 'g'), ''), lower(text))

-- name: _words_of_name(text)
-- kind: scalar
-- about: A name as words between single blanks.
trim(regexp_replace(_plain_name(text), '[\s\x{00a0}\x{00ad}\x{2000}-\x{200b}\x{202f}_\-\x{2010}-\x{2015}\x{2212}]+', ' ', 'g'))

-- name: _without_salt(words)
-- kind: scalar
-- about: A name in words without the counter-ions, hydrates and words such as `salt` at its end.
regexp_replace(words, '(?:[ ,;(\[]+(?:as )?(?:(?:mono|di|tri|tetra|penta|hexa|hepta|hemi|sesqui)(?: ?)?)?(?:hydrochloride|hcl|chloride|hydrobromide|hbr|bromide|hydroiodide|iodide|sodium|potassium|calcium|magnesium|zinc|lithium|ammonium|sul(?:f|ph)ate|bisul(?:f|ph)ate|phosphate|nitrate|acetate|trifluoroacetate|tfa|mesyl?ate|mesilate|methanesul(?:f|ph)onate|tosylate|tosilate|besylate|besilate|benzenesul(?:f|ph)onate|esylate|edisylate|napsylate|isethionate|maleate|hydrogen ?maleate|fumarate|tartrate|bitartrate|citrate|succinate|oxalate|lactate|gluconate|malate|pamoate|embonate|stearate|benzoate|salicylate|meglumine|tromethamine|hydrate|anhydrous|salt|free base|free acid)[)\]]?)+$', '')

-- name: _without_stereo(words)
-- kind: scalar
-- about: A name in words without what says which stereoisomer it is.
trim(regexp_replace(regexp_replace(words,
  '\((?:\+|minus|rac|[0-9a-z]*[rsez](?: ?, ?[0-9]*[rsez])*|dl|d|l)\)', ' ', 'g'),
  '^(?:(?:rac|cis|trans|dl|d|l|r|s|e|z|\+|racemic) )+', ''))

-- name: _stem_of_name(text)
-- kind: scalar
-- about: Letters and digits of a name without salt and stereoisomer: what near misses have in common.
list_transform([_words_of_name(text)], lambda _w: coalesce(
  nullif(regexp_replace(replace(_without_stereo(_without_salt(_w)), 'sulph', 'sulf'), '[^0-9a-z]', '', 'g'), ''),
  nullif(regexp_replace(_w, '[^0-9a-z]', '', 'g'), '')))[1]

-- name: _key_rank(key)
-- kind: scalar
-- about: How well a key tells one compound or gene from all others: 0 is best, 9 is a name.
CASE split_part(key, ':', 1) WHEN 'inchikey' THEN 0 WHEN 'entrez' THEN 0 WHEN 'pubchem' THEN 1 WHEN 'hgnc' THEN 1
  WHEN 'chembl' THEN 2 WHEN 'ensembl' THEN 2 WHEN 'chebi' THEN 3 WHEN 'jcp' THEN 4 WHEN 'brd' THEN 5
  WHEN 'symbol' THEN 8 WHEN 'name' THEN 9 ELSE 6 END

-- name: harmonised_perturbations
-- kind: view
-- about: The perturbations of each study, by the name of the compound or gene, with the key that all studies have: the best identifier that is
--   known of them (compounds: InChIKey, PubChem, ChEMBL, ChEBI, JCP, BRD, name; genes: Entrez, HGNC, Ensembl, symbol).
--   `matched_by` is the identifier of the study that led there, and `how` says by what: `own` (the study has the key
--   itself), `synonym` (by the table `synonyms`) or `study` (another study has that identifier beside the key). Where
--   identifiers lead to several keys, `ambiguous` is true and `candidates` lists them; `key` is then what the study's best
--   identifier says, and NULL where that one leads to several itself. `connectivity` is the first block of the InChIKey:
--   the same for stereoisomers, isotopes and charges of one molecule. Untreated wells have no key.
-- source: The first block of an InChIKey hashes formula and connectivity (IUPAC InChI technical manual).
-- columns: kind: compound or gene.
--   key: What the perturbation is called across studies, namespace:value; empty where that is not decided.
--   matched_by: The identifier of the study that led to the key.
--   how: own, synonym or study: by what it led there.
--   ambiguous: Whether identifiers lead to several keys.
--   candidates: All keys that they lead to.
--   connectivity: First block of the InChIKey.
-- example: SELECT study_id, name, key, how FROM harmonised_perturbations ORDER BY ALL
WITH RECURSIVE _kinds AS (
  SELECT *,
    CASE WHEN type IN ('crispr_ko', 'crispr_i', 'crispr_a', 'orf', 'sirna') THEN 'gene'
      WHEN type = 'compound' THEN 'compound'
      WHEN type <> 'none' THEN if(coalesce(inchikey, inchi, smiles, chembl_id, chebi_id, compound) IS NULL
        AND coalesce(gene, hgnc_id, ensembl_id, ncbi_gene_id::VARCHAR) IS NOT NULL, 'gene', 'compound')
      END AS kind
  FROM perturbations
), _given AS MATERIALIZED (
  -- A name counts where nothing more telling has it.
  SELECT study_id, perturbation_id, kind, unnest(if(kind = 'gene',
    [{'namespace': 'entrez', 'text': ncbi_gene_id::VARCHAR, 'hidden': false},
     {'namespace': 'hgnc', 'text': hgnc_id, 'hidden': false},
     {'namespace': 'ensembl', 'text': ensembl_id, 'hidden': false},
     {'namespace': 'symbol', 'text': gene, 'hidden': false},
     {'namespace': NULL, 'text': name,
      'hidden': coalesce(gene, hgnc_id, ensembl_id, ncbi_gene_id::VARCHAR) IS NOT NULL}],
    [{'namespace': 'inchikey', 'text': inchikey, 'hidden': false},
     {'namespace': 'pubchem', 'text': pubchem_cid::VARCHAR, 'hidden': false},
     {'namespace': 'chembl', 'text': chembl_id, 'hidden': false},
     {'namespace': 'chebi', 'text': chebi_id, 'hidden': false},
     {'namespace': NULL, 'text': compound, 'hidden': false},
     {'namespace': NULL, 'text': name, 'hidden': compound IS NOT NULL}])) AS given
  FROM _kinds
  WHERE kind IS NOT NULL
), _texts AS MATERIALIZED (
  SELECT namespace, text, harmonise_perturbation(text, namespace) AS key
  FROM (SELECT DISTINCT given.namespace AS namespace, given.text AS text FROM _given WHERE given.text IS NOT NULL)
), _keys AS MATERIALIZED (
  SELECT DISTINCT _g.study_id, _g.perturbation_id, _g.kind, _t.key, _key_rank(_t.key) AS rank
  FROM _given AS _g
  JOIN _texts AS _t ON _g.given.text = _t.text AND _g.given.namespace IS NOT DISTINCT FROM _t.namespace
  WHERE _t.key IS NOT NULL AND NOT (_g.given.hidden AND _t.key LIKE 'name:%')
), _said AS MATERIALIZED (
  SELECT kind, harmonise_perturbation(synonym, namespace) AS synonym,
    harmonise_perturbation(preferred, preferred_namespace) AS preferred,
    CASE relation WHEN 'previous' THEN 1 WHEN 'alias' THEN 2 ELSE 0 END AS relation
  FROM synonyms
), _directed AS MATERIALIZED (
  -- From the weaker identifier to the better one; between two of one kind, from the synonym to the preferred one.
  SELECT kind, if(_key_rank(synonym) < _key_rank(preferred), preferred, synonym) AS from_key,
    if(_key_rank(synonym) < _key_rank(preferred), synonym, preferred) AS to_key, relation, 'synonym' AS how
  FROM _said
  UNION ALL
  SELECT DISTINCT _k.kind, _k.key, _b.key, 0, 'study'
  FROM _keys AS _k
  JOIN (SELECT study_id, perturbation_id, min(rank) AS rank, arg_min(key, rank) AS key
        FROM _keys GROUP BY study_id, perturbation_id) AS _b
    ON _k.study_id = _b.study_id AND _k.perturbation_id = _b.perturbation_id
  WHERE _b.rank < _k.rank
), _steps AS MATERIALIZED (
  -- The strongest relation of a key counts: an approved symbol is not found by another gene's alias.
  SELECT kind, from_key, to_key, if(bool_or(how = 'synonym'), 'synonym', 'study') AS how,
    _key_rank(from_key) = _key_rank(to_key) AS level
  FROM (
    SELECT * FROM _directed
    WHERE from_key IS NOT NULL AND to_key IS NOT NULL AND from_key <> to_key
    QUALIFY relation = min(relation) OVER (PARTITION BY kind, from_key)
  )
  GROUP BY kind, from_key, to_key
), _reached AS (
  SELECT DISTINCT kind, key AS start, key, 0 AS steps, 'own' AS how FROM _keys
  UNION
  SELECT _r.kind, _r.start, _s.to_key, _r.steps + 1, if('study' IN (_r.how, _s.how), 'study', 'synonym')
  FROM _reached AS _r
  JOIN _steps AS _s ON _r.kind = _s.kind AND _r.key = _s.from_key
  WHERE _r.steps < 6
), _best AS (
  SELECT kind, start, key, steps, how
  FROM _reached
  QUALIFY _key_rank(key) = min(_key_rank(key)) OVER (PARTITION BY kind, start)
), _onward AS (
  SELECT DISTINCT kind, from_key FROM _steps WHERE level
), _ends AS (
  -- Of keys that stand for one another the last one counts; of a circle the first in the alphabet.
  SELECT _b.kind, _b.start,
    coalesce(list_sort(list(DISTINCT _b.key) FILTER (_o.from_key IS NULL)), [min(_b.key)]) AS keys,
    coalesce(arg_min(_b.how, (_b.steps, _b.how)) FILTER (_o.from_key IS NULL), arg_min(_b.how, (_b.key, _b.steps))) AS how
  FROM _best AS _b
  LEFT JOIN _onward AS _o ON _b.kind = _o.kind AND _b.key = _o.from_key
  GROUP BY _b.kind, _b.start
), _led AS MATERIALIZED (
  SELECT _k.study_id, _k.perturbation_id, _k.kind, _k.key, _k.rank, _e.keys, _e.how, _key_rank(_e.keys[1]) AS to_rank
  FROM _keys AS _k
  JOIN _ends AS _e ON _k.kind = _e.kind AND _k.key = _e.start
), _chosen AS MATERIALIZED (
  SELECT study_id, perturbation_id, any_value(kind) AS kind,
    arg_min({'keys': keys, 'key': key, 'how': how, 'rank': to_rank}, (to_rank, rank, key)) AS chosen
  FROM _led
  GROUP BY study_id, perturbation_id
), _against AS (
  SELECT _l.study_id, _l.perturbation_id, flatten(list(_l.keys)) AS keys
  FROM _led AS _l
  JOIN _chosen AS _c ON _l.study_id = _c.study_id AND _l.perturbation_id = _c.perturbation_id
  -- A symbol that stands for several genes agrees with one of them; an identifier that stands for several does not.
  WHERE _l.to_rank = _c.chosen.rank AND _l.rank < 9 AND (_l.rank < 8 OR NOT list_has_any(_l.keys, _c.chosen.keys))
  GROUP BY _l.study_id, _l.perturbation_id
), _all AS (
  SELECT _c.*, list_sort(list_distinct(_c.chosen.keys || coalesce(_a.keys, []))) AS candidates
  FROM _chosen AS _c
  LEFT JOIN _against AS _a ON _c.study_id = _a.study_id AND _c.perturbation_id = _a.perturbation_id
)
SELECT _p.study_id, _p.perturbation_id, coalesce(if(_c.kind = 'gene', _p.gene, _p.compound), _p.name) AS name, _p.type,
  _c.kind,
  if(len(_c.chosen.keys) = 1, _c.chosen.keys[1], NULL) AS key, _c.chosen.key AS matched_by, _c.chosen.how AS how,
  coalesce(len(_c.candidates) > 1, false) AS ambiguous, coalesce(_c.candidates, []) AS candidates,
  if(_c.candidates[1] LIKE 'inchikey:%' AND len(list_distinct(list_transform(_c.candidates, lambda k: k[:23]))) = 1,
    _c.candidates[1][10:23], NULL) AS connectivity
FROM perturbations AS _p
LEFT JOIN _all AS _c ON _p.study_id = _c.study_id AND _p.perturbation_id = _c.perturbation_id

-- name: perturbation_matches
-- kind: view
-- about: What several studies have in common, one row per group of perturbations. `match` is `exact` (two studies or more
--   have the key themselves), `synonym` (the key is found by synonyms or by another study), `connectivity` (the keys
--   differ, the first block of the InChIKey is the same: other stereoisomers, isotopes or charges) or `near miss` (the
--   keys differ, and the names are alike; `reason` says in what: the name is the same, or the same but for salt or
--   hydrate, stereoisomer, punctuation, or one letter). Only `exact` and `synonym` are matches; the others are for you to
--   look at. `members` says by what each got its key.
-- columns: match: exact, synonym, connectivity or near miss.
--   kind: compound or gene.
--   shared: What the members share: a key, a first block of InChIKeys, the stem of a name.
--   reason: The namespace of the key, or what is different.
--   n_studies: How many studies.
--   studies: Which studies.
--   names: The names that they have for it.
--   keys: The keys of the members.
--   members: study_id, perturbation_id, name, key and how of each.
-- example: SELECT match, reason, names, studies FROM perturbation_matches ORDER BY match, names
WITH _known AS MATERIALIZED (
  SELECT study_id, perturbation_id, kind, name, key, how, connectivity, coalesce(connectivity, key) AS molecule
  FROM harmonised_perturbations
  WHERE key IS NOT NULL
), _labels AS MATERIALIZED (
  SELECT kind, name, _name_key(name) AS name_key, _words_of_name(name) AS words,
    if(kind = 'gene', regexp_replace(lower(name), '[^0-9a-z]', '', 'g'), _stem_of_name(name)) AS stem
  FROM (SELECT DISTINCT kind, name FROM _known)
), _long AS MATERIALIZED (
  SELECT DISTINCT kind, stem FROM _labels WHERE kind = 'compound' AND len(stem) BETWEEN 8 AND 100
), _cuts AS (
  SELECT DISTINCT kind, stem, substr(stem, 1, place - 1) || substr(stem, place + 1) AS cut
  FROM (SELECT kind, stem, unnest(range(1, len(stem) + 1)) AS place FROM _long)
  WHERE substr(stem, place, 1) BETWEEN 'a' AND 'z'
), _letters AS (
  SELECT DISTINCT _a.kind, least(_a.stem, _b.stem) AS one, greatest(_a.stem, _b.stem) AS other
  FROM (SELECT kind, stem, cut FROM _cuts UNION ALL SELECT kind, stem, stem FROM _long) AS _a
  JOIN _cuts AS _b ON _a.kind = _b.kind AND _a.cut = _b.cut
  WHERE _a.stem <> _b.stem AND NOT (len(_a.stem) = len(_b.stem) AND left(_a.stem, -1) = left(_b.stem, -1))
), _alike AS (
  SELECT kind, stem AS near, stem, 'name' AS way FROM (SELECT DISTINCT kind, stem FROM _labels WHERE stem IS NOT NULL)
  UNION ALL SELECT kind, one || ' / ' || other, one, 'letter' FROM _letters
  UNION ALL SELECT kind, one || ' / ' || other, other, 'letter' FROM _letters
), _places AS (
  SELECT DISTINCT _k.kind, _l.stem, _k.study_id, _k.molecule
  FROM _labels AS _l JOIN _known AS _k ON _l.kind = _k.kind AND _l.name = _k.name
  WHERE _l.stem IS NOT NULL
), _worth AS MATERIALIZED (
  SELECT _a.kind, _a.near, _a.way, list(DISTINCT _a.stem) AS stems
  FROM _alike AS _a JOIN _places AS _p ON _a.kind = _p.kind AND _a.stem = _p.stem
  GROUP BY _a.kind, _a.near, _a.way
  HAVING count(DISTINCT _p.study_id) > 1 AND count(DISTINCT _p.molecule) > 1
    AND (_a.way = 'name' OR count(DISTINCT _a.stem) > 1)
), _near AS (
  SELECT _k.*, _l.words, _l.name_key, _w.near, _w.way
  FROM (SELECT kind, near, way, unnest(stems) AS stem FROM _worth) AS _w
  JOIN _labels AS _l ON _w.kind = _l.kind AND _w.stem = _l.stem
  JOIN _known AS _k ON _l.kind = _k.kind AND _l.name = _k.name
), _groups AS (
  SELECT kind, key AS shared, if(count(DISTINCT study_id) FILTER (how = 'own') > 1, 'exact', 'synonym') AS match,
    split_part(key, ':', 1) AS reason,
    list({'study_id': study_id, 'perturbation_id': perturbation_id, 'name': name, 'key': key, 'how': how}) AS members
  FROM _known
  WHERE (kind, key) IN (SELECT (kind, key) FROM _known GROUP BY kind, key HAVING count(DISTINCT study_id) > 1)
  GROUP BY kind, key
  UNION ALL
  SELECT kind, connectivity, 'connectivity', 'first block of the InChIKey',
    list({'study_id': study_id, 'perturbation_id': perturbation_id, 'name': name, 'key': key, 'how': how})
  FROM _known
  WHERE (kind, connectivity) IN (SELECT (kind, connectivity) FROM _known WHERE connectivity IS NOT NULL
    GROUP BY kind, connectivity HAVING count(DISTINCT study_id) > 1 AND count(DISTINCT key) > 1)
  GROUP BY kind, connectivity
  UNION ALL
  SELECT kind, near, 'near miss',
    CASE WHEN way = 'letter' THEN 'one letter'
      WHEN count(DISTINCT name_key) < count(DISTINCT (name_key, molecule)) THEN 'same name'
      ELSE coalesce(nullif(concat_ws(', ',
        if(bool_or(_without_salt(words) <> words), 'salt or hydrate', NULL),
        if(bool_or(_without_stereo(_without_salt(words)) <> _without_salt(words)), 'stereoisomer', NULL)), ''),
        'punctuation') END,
    list({'study_id': study_id, 'perturbation_id': perturbation_id, 'name': name, 'key': key, 'how': how})
  FROM _near
  GROUP BY kind, near, way
)
SELECT match, kind, shared, reason, len(studies) AS n_studies, studies,
  list_sort(list_distinct(list_transform(members, lambda m: m.name))) AS names,
  list_sort(list_distinct(list_transform(members, lambda m: m.key))) AS keys, list_sort(members) AS members
FROM (SELECT *, list_sort(list_distinct(list_transform(members, lambda m: m.study_id))) AS studies FROM _groups)
