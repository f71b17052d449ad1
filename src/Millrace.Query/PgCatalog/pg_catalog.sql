-- Millrace's own pg_catalog and information_schema, for PostgreSQL's clients (PostgreSQL 15, System Catalogs and The Information Schema).
-- Run once in a database of its own; @DATABASE@ and @VERSION@ are replaced. The tables mr_* are filled from the lake and the live tables.
CREATE SCHEMA mr_catalog;
CREATE SCHEMA mr_information;
SET search_path = 'mr_system.mr_catalog';

CREATE TABLE mr_namespaces (oid BIGINT, name VARCHAR);
CREATE TABLE mr_relations (oid BIGINT, namespace BIGINT, name VARCHAR, kind VARCHAR, visible BOOLEAN, comment VARCHAR, columns SMALLINT);
CREATE TABLE mr_attributes (relation BIGINT, number SMALLINT, name VARCHAR, type BIGINT, modifier INTEGER, required BOOLEAN);
CREATE TABLE mr_types (oid BIGINT, name VARCHAR, size SMALLINT, category VARCHAR, element BIGINT, array_type BIGINT, display VARCHAR);

CREATE VIEW pg_namespace AS SELECT oid, name AS nspname, 10::BIGINT AS nspowner, NULL::VARCHAR[] AS nspacl, 2615::BIGINT AS tableoid FROM mr_namespaces;
CREATE VIEW pg_class AS SELECT
    oid, name AS relname, namespace AS relnamespace, 0::BIGINT AS reltype, 0::BIGINT AS reloftype, 10::BIGINT AS relowner,
    CASE WHEN kind = 'r' THEN 2::BIGINT ELSE 0::BIGINT END AS relam, oid AS relfilenode, 0::BIGINT AS reltablespace, 0 AS relpages, (-1)::FLOAT AS reltuples, 0 AS relallvisible,
    0::BIGINT AS reltoastrelid, false AS relhasindex, false AS relisshared, 'p' AS relpersistence, kind AS relkind, columns AS relnatts,
    0::SMALLINT AS relchecks, false AS relhasrules, false AS relhastriggers, false AS relhassubclass, false AS relrowsecurity,
    false AS relforcerowsecurity, true AS relispopulated, 'd' AS relreplident, false AS relispartition, 0::BIGINT AS relrewrite,
    0::BIGINT AS relfrozenxid, 0::BIGINT AS relminmxid, NULL::VARCHAR[] AS relacl, NULL::VARCHAR[] AS reloptions, NULL::VARCHAR AS relpartbound,
    false AS relhasoids, false AS relhaspkey, 1259::BIGINT AS tableoid, 1::BIGINT AS xmin
    FROM mr_relations;
CREATE VIEW pg_attribute AS SELECT
    a.relation AS attrelid, a.name AS attname, a.type AS atttypid, (-1) AS attstattarget, coalesce(t.size, (-1)::SMALLINT) AS attlen, a.number AS attnum,
    CASE WHEN t.element <> 0 THEN 1 ELSE 0 END AS attndims, (-1) AS attcacheoff, a.modifier AS atttypmod, coalesce(t.size BETWEEN 1 AND 8, false) AS attbyval, 'i' AS attalign,
    CASE WHEN t.size > 0 THEN 'p' ELSE 'x' END AS attstorage, '' AS attcompression, a.required AS attnotnull, false AS atthasdef,
    false AS atthasmissing, '' AS attidentity, '' AS attgenerated, false AS attisdropped, true AS attislocal, 0 AS attinhcount,
    CASE WHEN a.type IN (19, 25, 1042, 1043) THEN 100::BIGINT ELSE 0::BIGINT END AS attcollation, NULL::VARCHAR[] AS attacl, NULL::VARCHAR[] AS attoptions,
    NULL::VARCHAR[] AS attfdwoptions, NULL::VARCHAR AS attmissingval
    FROM mr_attributes a LEFT JOIN mr_types t ON t.oid = a.type;
CREATE VIEW pg_type AS SELECT
    oid, name AS typname, 11::BIGINT AS typnamespace, 10::BIGINT AS typowner, size AS typlen, size BETWEEN 1 AND 8 AS typbyval,
    CASE WHEN category = 'P' THEN 'p' ELSE 'b' END AS typtype, category AS typcategory,
    name IN ('bool', 'text', 'float8', 'timestamptz', 'interval', 'oid') AS typispreferred, true AS typisdefined, ',' AS typdelim, 0::BIGINT AS typrelid,
    0::BIGINT AS typsubscript, element AS typelem, array_type AS typarray,
    CASE WHEN element <> 0 THEN 750::BIGINT ELSE oid + 100000 END AS typinput, CASE WHEN element <> 0 THEN 751::BIGINT ELSE oid + 200000 END AS typoutput,
    CASE WHEN element <> 0 THEN 2400::BIGINT ELSE oid + 300000 END AS typreceive, CASE WHEN element <> 0 THEN 2401::BIGINT ELSE oid + 400000 END AS typsend,
    0::BIGINT AS typmodin, 0::BIGINT AS typmodout, 0::BIGINT AS typanalyze, 'i' AS typalign, CASE WHEN size > 0 THEN 'p' ELSE 'x' END AS typstorage,
    false AS typnotnull, 0::BIGINT AS typbasetype, (-1) AS typtypmod, 0 AS typndims, CASE WHEN oid IN (19, 25, 1042, 1043) THEN 100::BIGINT ELSE 0::BIGINT END AS typcollation,
    NULL::VARCHAR AS typdefaultbin, NULL::VARCHAR AS typdefault, NULL::VARCHAR[] AS typacl, 1247::BIGINT AS tableoid
    FROM mr_types;
CREATE VIEW pg_proc AS SELECT
    oid, proname, 11::BIGINT AS pronamespace, 10::BIGINT AS proowner, 12::BIGINT AS prolang, 1::FLOAT AS procost, 0::FLOAT AS prorows, 0::BIGINT AS provariadic,
    0::BIGINT AS prosupport, 'f' AS prokind, false AS prosecdef, false AS proleakproof, true AS proisstrict, false AS proretset, 's' AS provolatile,
    's' AS proparallel, 1::SMALLINT AS pronargs, 0::SMALLINT AS pronargdefaults, 2277::BIGINT AS prorettype, [2281]::BIGINT[] AS proargtypes,
    NULL::BIGINT[] AS proallargtypes, NULL::VARCHAR[] AS proargmodes, NULL::VARCHAR[] AS proargnames, NULL::VARCHAR AS proargdefaults,
    NULL::BIGINT[] AS protrftypes, proname AS prosrc, NULL::VARCHAR AS probin, NULL::VARCHAR AS prosqlbody, NULL::VARCHAR[] AS proconfig, NULL::VARCHAR[] AS proacl, 1255::BIGINT AS tableoid
    FROM (VALUES (750::BIGINT, 'array_in'), (751, 'array_out'), (2400, 'array_recv'), (2401, 'array_send')) p(oid, proname);
CREATE VIEW pg_database AS SELECT
    16000::BIGINT AS oid, '@DATABASE@' AS datname, 10::BIGINT AS datdba, 6 AS encoding, 'c' AS datlocprovider, false AS datistemplate, true AS datallowconn,
    (-1) AS datconnlimit, 0::BIGINT AS datfrozenxid, 0::BIGINT AS datminmxid, 1663::BIGINT AS dattablespace, 'C' AS datcollate, 'C' AS datctype,
    NULL::VARCHAR AS daticulocale, NULL::VARCHAR AS datcollversion, NULL::VARCHAR[] AS datacl, 13000::BIGINT AS datlastsysoid;
CREATE VIEW pg_roles AS SELECT
    10::BIGINT AS oid, coalesce(getvariable('mr_user')::VARCHAR, 'millrace') AS rolname, false AS rolsuper, true AS rolinherit, false AS rolcreaterole, false AS rolcreatedb,
    true AS rolcanlogin, false AS rolreplication, (-1) AS rolconnlimit, '********' AS rolpassword, NULL::TIMESTAMPTZ AS rolvaliduntil, false AS rolbypassrls,
    NULL::VARCHAR[] AS rolconfig;
CREATE VIEW pg_authid AS SELECT * FROM pg_roles;
CREATE VIEW pg_user AS SELECT rolname AS usename, oid AS usesysid, false AS usecreatedb, rolsuper AS usesuper, false AS userepl, false AS usebypassrls, rolpassword AS passwd, rolvaliduntil AS valuntil, rolconfig AS useconfig FROM pg_roles;
CREATE VIEW pg_shadow AS SELECT * FROM pg_user;
CREATE TABLE pg_group (groname VARCHAR, grosysid BIGINT, grolist BIGINT[]);
CREATE TABLE pg_auth_members (roleid BIGINT, member BIGINT, grantor BIGINT, admin_option BOOLEAN);
CREATE TABLE pg_am AS SELECT 2::BIGINT AS oid, 'heap' AS amname, 3::BIGINT AS amhandler, 't' AS amtype;
CREATE TABLE pg_language AS SELECT 12::BIGINT AS oid, 'internal' AS lanname, 10::BIGINT AS lanowner, false AS lanispl, false AS lanpltrusted, 0::BIGINT AS lanplcallfoid, 0::BIGINT AS laninline, 0::BIGINT AS lanvalidator, NULL::VARCHAR[] AS lanacl, 2612::BIGINT AS tableoid;
CREATE TABLE pg_collation AS SELECT 100::BIGINT AS oid, 'default' AS collname, 11::BIGINT AS collnamespace, 10::BIGINT AS collowner, 'd' AS collprovider, true AS collisdeterministic, (-1) AS collencoding, NULL::VARCHAR AS collcollate, NULL::VARCHAR AS collctype, NULL::VARCHAR AS colliculocale, NULL::VARCHAR AS collversion;
CREATE TABLE pg_tablespace AS SELECT 1663::BIGINT AS oid, 'pg_default' AS spcname, 10::BIGINT AS spcowner, NULL::VARCHAR[] AS spcacl, NULL::VARCHAR[] AS spcoptions;
CREATE TABLE pg_index (indexrelid BIGINT, indrelid BIGINT, indnatts SMALLINT, indnkeyatts SMALLINT, indisunique BOOLEAN, indnullsnotdistinct BOOLEAN, indisprimary BOOLEAN, indisexclusion BOOLEAN, indimmediate BOOLEAN, indisclustered BOOLEAN, indisvalid BOOLEAN, indcheckxmin BOOLEAN, indisready BOOLEAN, indislive BOOLEAN, indisreplident BOOLEAN, indkey SMALLINT[], indcollation BIGINT[], indclass BIGINT[], indoption SMALLINT[], indexprs VARCHAR, indpred VARCHAR);
CREATE TABLE pg_constraint (oid BIGINT, tableoid BIGINT, conname VARCHAR, connamespace BIGINT, contype VARCHAR, condeferrable BOOLEAN, condeferred BOOLEAN, convalidated BOOLEAN, conrelid BIGINT, contypid BIGINT, conindid BIGINT, conparentid BIGINT, confrelid BIGINT, confupdtype VARCHAR, confdeltype VARCHAR, confmatchtype VARCHAR, conislocal BOOLEAN, coninhcount INTEGER, connoinherit BOOLEAN, conkey SMALLINT[], confkey SMALLINT[], conpfeqop BIGINT[], conppeqop BIGINT[], conffeqop BIGINT[], confdelsetcols SMALLINT[], conexclop BIGINT[], conbin VARCHAR);
CREATE TABLE pg_attrdef (oid BIGINT, tableoid BIGINT, adrelid BIGINT, adnum SMALLINT, adbin VARCHAR);
CREATE VIEW pg_description AS SELECT oid AS objoid, 1259::BIGINT AS classoid, 0 AS objsubid, comment AS description FROM mr_relations WHERE comment IS NOT NULL;
CREATE TABLE pg_shdescription (objoid BIGINT, classoid BIGINT, description VARCHAR);
CREATE TABLE pg_seclabel (objoid BIGINT, classoid BIGINT, objsubid INTEGER, provider VARCHAR, label VARCHAR);
CREATE TABLE pg_inherits (inhrelid BIGINT, inhparent BIGINT, inhseqno INTEGER, inhdetachpending BOOLEAN);
CREATE TABLE pg_range (rngtypid BIGINT, rngsubtype BIGINT, rngmultitypid BIGINT, rngcollation BIGINT, rngsubopc BIGINT, rngcanonical BIGINT, rngsubdiff BIGINT);
CREATE TABLE pg_enum (oid BIGINT, tableoid BIGINT, enumtypid BIGINT, enumsortorder FLOAT, enumlabel VARCHAR);
CREATE TABLE pg_trigger (oid BIGINT, tableoid BIGINT, tgrelid BIGINT, tgparentid BIGINT, tgname VARCHAR, tgfoid BIGINT, tgtype SMALLINT, tgenabled VARCHAR, tgisinternal BOOLEAN, tgconstrrelid BIGINT, tgconstrindid BIGINT, tgconstraint BIGINT, tgdeferrable BOOLEAN, tginitdeferred BOOLEAN, tgnargs SMALLINT, tgattr SMALLINT[], tgargs BLOB, tgqual VARCHAR, tgoldtable VARCHAR, tgnewtable VARCHAR);
CREATE TABLE pg_policy (oid BIGINT, tableoid BIGINT, polname VARCHAR, polrelid BIGINT, polcmd VARCHAR, polpermissive BOOLEAN, polroles BIGINT[], polqual VARCHAR, polwithcheck VARCHAR);
CREATE TABLE pg_rewrite (oid BIGINT, tableoid BIGINT, rulename VARCHAR, ev_class BIGINT, ev_type VARCHAR, ev_enabled VARCHAR, is_instead BOOLEAN, ev_qual VARCHAR, ev_action VARCHAR);
CREATE TABLE pg_statistic_ext (oid BIGINT, tableoid BIGINT, stxrelid BIGINT, stxname VARCHAR, stxnamespace BIGINT, stxowner BIGINT, stxstattarget INTEGER, stxkeys SMALLINT[], stxkind VARCHAR[], stxexprs VARCHAR);
CREATE TABLE pg_publication (oid BIGINT, tableoid BIGINT, pubname VARCHAR, pubowner BIGINT, puballtables BOOLEAN, pubinsert BOOLEAN, pubupdate BOOLEAN, pubdelete BOOLEAN, pubtruncate BOOLEAN, pubviaroot BOOLEAN);
CREATE TABLE pg_publication_rel (oid BIGINT, tableoid BIGINT, prpubid BIGINT, prrelid BIGINT, prqual VARCHAR, prattrs SMALLINT[]);
CREATE TABLE pg_publication_namespace (oid BIGINT, tableoid BIGINT, pnpubid BIGINT, pnnspid BIGINT);
CREATE TABLE pg_publication_tables (pubname VARCHAR, schemaname VARCHAR, tablename VARCHAR, attnames VARCHAR[], rowfilter VARCHAR);
CREATE TABLE pg_subscription (oid BIGINT, tableoid BIGINT, subdbid BIGINT, subname VARCHAR, subowner BIGINT, subenabled BOOLEAN, subbinary BOOLEAN, substream BOOLEAN, subtwophasestate VARCHAR, subdisableonerr BOOLEAN, subskiplsn VARCHAR, subconninfo VARCHAR, subslotname VARCHAR, subsynccommit VARCHAR, subpublications VARCHAR[]);
CREATE TABLE pg_foreign_data_wrapper (oid BIGINT, tableoid BIGINT, fdwname VARCHAR, fdwowner BIGINT, fdwhandler BIGINT, fdwvalidator BIGINT, fdwacl VARCHAR[], fdwoptions VARCHAR[]);
CREATE TABLE pg_foreign_server (oid BIGINT, tableoid BIGINT, srvname VARCHAR, srvowner BIGINT, srvfdw BIGINT, srvtype VARCHAR, srvversion VARCHAR, srvacl VARCHAR[], srvoptions VARCHAR[]);
CREATE TABLE pg_foreign_table (ftrelid BIGINT, ftserver BIGINT, ftoptions VARCHAR[]);
CREATE TABLE pg_user_mapping (oid BIGINT, tableoid BIGINT, umuser BIGINT, umserver BIGINT, umoptions VARCHAR[]);
CREATE TABLE pg_user_mappings (umid BIGINT, srvid BIGINT, srvname VARCHAR, umuser BIGINT, usename VARCHAR, umoptions VARCHAR[]);
CREATE TABLE pg_sequence (seqrelid BIGINT, seqtypid BIGINT, seqstart BIGINT, seqincrement BIGINT, seqmax BIGINT, seqmin BIGINT, seqcache BIGINT, seqcycle BOOLEAN);
CREATE TABLE pg_sequences (schemaname VARCHAR, sequencename VARCHAR, sequenceowner VARCHAR, data_type VARCHAR, start_value BIGINT, min_value BIGINT, max_value BIGINT, increment_by BIGINT, cycle BOOLEAN, cache_size BIGINT, last_value BIGINT);
CREATE TABLE pg_depend (classid BIGINT, objid BIGINT, objsubid INTEGER, refclassid BIGINT, refobjid BIGINT, refobjsubid INTEGER, deptype VARCHAR);
CREATE TABLE pg_shdepend (dbid BIGINT, classid BIGINT, objid BIGINT, objsubid INTEGER, refclassid BIGINT, refobjid BIGINT, deptype VARCHAR);
CREATE TABLE pg_operator (oid BIGINT, tableoid BIGINT, oprname VARCHAR, oprnamespace BIGINT, oprowner BIGINT, oprkind VARCHAR, oprcanmerge BOOLEAN, oprcanhash BOOLEAN, oprleft BIGINT, oprright BIGINT, oprresult BIGINT, oprcom BIGINT, oprnegate BIGINT, oprcode BIGINT, oprrest BIGINT, oprjoin BIGINT);
CREATE TABLE pg_opclass (oid BIGINT, tableoid BIGINT, opcmethod BIGINT, opcname VARCHAR, opcnamespace BIGINT, opcowner BIGINT, opcfamily BIGINT, opcintype BIGINT, opcdefault BOOLEAN, opckeytype BIGINT);
CREATE TABLE pg_opfamily (oid BIGINT, tableoid BIGINT, opfmethod BIGINT, opfname VARCHAR, opfnamespace BIGINT, opfowner BIGINT);
CREATE TABLE pg_amop (oid BIGINT, tableoid BIGINT, amopfamily BIGINT, amoplefttype BIGINT, amoprighttype BIGINT, amopstrategy SMALLINT, amoppurpose VARCHAR, amopopr BIGINT, amopmethod BIGINT, amopsortfamily BIGINT);
CREATE TABLE pg_amproc (oid BIGINT, tableoid BIGINT, amprocfamily BIGINT, amproclefttype BIGINT, amprocrighttype BIGINT, amprocnum SMALLINT, amproc BIGINT);
CREATE TABLE pg_aggregate (aggfnoid BIGINT, aggkind VARCHAR, aggnumdirectargs SMALLINT);
CREATE TABLE pg_cast (oid BIGINT, tableoid BIGINT, castsource BIGINT, casttarget BIGINT, castfunc BIGINT, castcontext VARCHAR, castmethod VARCHAR);
CREATE TABLE pg_conversion (oid BIGINT, tableoid BIGINT, conname VARCHAR, connamespace BIGINT, conowner BIGINT, conforencoding INTEGER, contoencoding INTEGER, conproc BIGINT, condefault BOOLEAN);
CREATE TABLE pg_event_trigger (oid BIGINT, tableoid BIGINT, evtname VARCHAR, evtevent VARCHAR, evtowner BIGINT, evtfoid BIGINT, evtenabled VARCHAR, evttags VARCHAR[]);
CREATE TABLE pg_extension (oid BIGINT, tableoid BIGINT, extname VARCHAR, extowner BIGINT, extnamespace BIGINT, extrelocatable BOOLEAN, extversion VARCHAR, extconfig BIGINT[], extcondition VARCHAR[]);
CREATE TABLE pg_available_extensions (name VARCHAR, default_version VARCHAR, installed_version VARCHAR, comment VARCHAR);
CREATE TABLE pg_partitioned_table (partrelid BIGINT, partstrat VARCHAR, partnatts SMALLINT, partdefid BIGINT, partattrs SMALLINT[], partclass BIGINT[], partcollation BIGINT[], partexprs VARCHAR);
CREATE TABLE pg_default_acl (oid BIGINT, tableoid BIGINT, defaclrole BIGINT, defaclnamespace BIGINT, defaclobjtype VARCHAR, defaclacl VARCHAR[]);
CREATE TABLE pg_init_privs (objoid BIGINT, classoid BIGINT, objsubid INTEGER, privtype VARCHAR, initprivs VARCHAR[]);
CREATE TABLE pg_db_role_setting (setdatabase BIGINT, setrole BIGINT, setconfig VARCHAR[]);
CREATE TABLE pg_largeobject_metadata (oid BIGINT, tableoid BIGINT, lomowner BIGINT, lomacl VARCHAR[]);
CREATE TABLE pg_ts_config (oid BIGINT, tableoid BIGINT, cfgname VARCHAR, cfgnamespace BIGINT, cfgowner BIGINT, cfgparser BIGINT);
CREATE TABLE pg_ts_dict (oid BIGINT, tableoid BIGINT, dictname VARCHAR, dictnamespace BIGINT, dictowner BIGINT, dicttemplate BIGINT, dictinitoption VARCHAR);
CREATE TABLE pg_ts_parser (oid BIGINT, tableoid BIGINT, prsname VARCHAR, prsnamespace BIGINT);
CREATE TABLE pg_ts_template (oid BIGINT, tableoid BIGINT, tmplname VARCHAR, tmplnamespace BIGINT);
CREATE TABLE pg_transform (oid BIGINT, tableoid BIGINT, trftype BIGINT, trflang BIGINT, trffromsql BIGINT, trftosql BIGINT);
CREATE TABLE pg_replication_slots (slot_name VARCHAR, plugin VARCHAR, slot_type VARCHAR, active BOOLEAN);
CREATE TABLE pg_stat_ssl (pid INTEGER, ssl BOOLEAN, version VARCHAR, cipher VARCHAR, bits INTEGER);
CREATE TABLE pg_locks (locktype VARCHAR, database BIGINT, relation BIGINT, pid INTEGER, mode VARCHAR, granted BOOLEAN);
CREATE TABLE pg_prepared_xacts (transaction BIGINT, gid VARCHAR, prepared TIMESTAMPTZ, owner VARCHAR, database VARCHAR);
CREATE TABLE pg_cursors (name VARCHAR, statement VARCHAR, is_holdable BOOLEAN, is_binary BOOLEAN, is_scrollable BOOLEAN, creation_time TIMESTAMPTZ);
CREATE TABLE pg_indexes (schemaname VARCHAR, tablename VARCHAR, indexname VARCHAR, tablespace VARCHAR, indexdef VARCHAR);
CREATE TABLE pg_matviews (schemaname VARCHAR, matviewname VARCHAR, matviewowner VARCHAR, tablespace VARCHAR, hasindexes BOOLEAN, ispopulated BOOLEAN, definition VARCHAR);
CREATE TABLE pg_policies (schemaname VARCHAR, tablename VARCHAR, policyname VARCHAR, permissive VARCHAR, roles VARCHAR[], cmd VARCHAR, qual VARCHAR, with_check VARCHAR);
CREATE TABLE pg_rules (schemaname VARCHAR, tablename VARCHAR, rulename VARCHAR, definition VARCHAR);
CREATE TABLE pg_timezone_abbrevs (abbrev VARCHAR, utc_offset INTERVAL, is_dst BOOLEAN);
CREATE VIEW pg_stat_activity AS SELECT 16000::BIGINT AS datid, '@DATABASE@' AS datname, getvariable('mr_pid')::INTEGER AS pid, 10::BIGINT AS usesysid, coalesce(getvariable('mr_user')::VARCHAR, 'millrace') AS usename, '' AS application_name, NULL::VARCHAR AS client_addr, 'active' AS state, NULL::VARCHAR AS query, 'client backend' AS backend_type;
CREATE VIEW pg_tables AS SELECT n.name AS schemaname, r.name AS tablename, 'millrace' AS tableowner, NULL::VARCHAR AS tablespace, false AS hasindexes, false AS hasrules, false AS hastriggers, false AS rowsecurity FROM mr_relations r JOIN mr_namespaces n ON n.oid = r.namespace WHERE r.kind = 'r';
CREATE VIEW pg_views AS SELECT n.name AS schemaname, r.name AS viewname, 'millrace' AS viewowner, NULL::VARCHAR AS definition FROM mr_relations r JOIN mr_namespaces n ON n.oid = r.namespace WHERE r.kind = 'v';
CREATE VIEW pg_stat_user_tables AS SELECT r.oid AS relid, n.name AS schemaname, r.name AS relname, 0::BIGINT AS seq_scan, 0::BIGINT AS n_live_tup FROM mr_relations r JOIN mr_namespaces n ON n.oid = r.namespace WHERE r.kind = 'r';
CREATE TABLE pg_settings (name VARCHAR, setting VARCHAR, unit VARCHAR, category VARCHAR, short_desc VARCHAR, extra_desc VARCHAR, context VARCHAR, vartype VARCHAR, source VARCHAR, min_val VARCHAR, max_val VARCHAR, enumvals VARCHAR[], boot_val VARCHAR, reset_val VARCHAR, sourcefile VARCHAR, sourceline INTEGER, pending_restart BOOLEAN);

-- Functions.
CREATE MACRO version() AS '@VERSION@';
CREATE MACRO current_database() AS '@DATABASE@';
CREATE MACRO current_catalog() AS '@DATABASE@';
CREATE MACRO current_schema() AS 'public';
CREATE MACRO current_schemas(implicit) AS CASE WHEN implicit THEN ['pg_catalog', 'public'] ELSE ['public'] END;
CREATE MACRO current_user() AS coalesce(getvariable('mr_user')::VARCHAR, 'millrace');
CREATE MACRO session_user() AS coalesce(getvariable('mr_user')::VARCHAR, 'millrace');
CREATE MACRO current_role() AS coalesce(getvariable('mr_user')::VARCHAR, 'millrace');
CREATE MACRO user() AS coalesce(getvariable('mr_user')::VARCHAR, 'millrace');
CREATE MACRO pg_backend_pid() AS getvariable('mr_pid')::INTEGER;
CREATE MACRO pg_is_in_recovery() AS false;
CREATE MACRO pg_client_encoding() AS 'UTF8';
CREATE MACRO getdatabaseencoding() AS 'UTF8';
CREATE MACRO pg_advisory_unlock_all() AS NULL::VARCHAR;
CREATE MACRO pg_encoding_to_char(encoding) AS CASE WHEN encoding = 6 THEN 'UTF8' ELSE '' END;
CREATE MACRO pg_char_to_encoding(name) AS CASE WHEN upper(name) IN ('UTF8', 'UTF-8') THEN 6 ELSE -1 END;
CREATE MACRO pg_get_userbyid(role) AS 'millrace';
CREATE MACRO set_config(name, value, is_local) AS value;
CREATE MACRO current_setting(p_name) AS (SELECT any_value(mr_s.setting) FROM mr_catalog.pg_settings mr_s WHERE mr_s.name = lower(p_name)), (p_name, missing_ok) AS (SELECT any_value(mr_s.setting) FROM mr_catalog.pg_settings mr_s WHERE mr_s.name = lower(p_name));
CREATE MACRO format_type(type, modifier) AS CASE
    WHEN type IS NULL THEN NULL
    WHEN type = 1700 AND modifier > 0 THEN 'numeric(' || ((modifier - 4) >> 16) || ',' || ((modifier - 4) & 65535) || ')'
    ELSE coalesce((SELECT any_value(mr_t.display) FROM mr_catalog.mr_types mr_t WHERE mr_t.oid = type), '???') END;
CREATE MACRO pg_table_is_visible(relation) AS coalesce((SELECT any_value(mr_r.visible) FROM mr_catalog.mr_relations mr_r WHERE mr_r.oid = relation), false);
CREATE MACRO pg_type_is_visible(type) AS true;
CREATE MACRO pg_function_is_visible(f) AS true;
CREATE MACRO pg_operator_is_visible(o) AS true;
CREATE MACRO pg_statistics_obj_is_visible(o) AS true;
CREATE MACRO pg_get_expr(tree, relation) AS NULL::VARCHAR, (tree, relation, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_constraintdef(c) AS NULL::VARCHAR, (c, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_indexdef(i) AS NULL::VARCHAR, (i, c, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_viewdef(v) AS NULL::VARCHAR, (v, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_ruledef(r) AS NULL::VARCHAR, (r, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_triggerdef(t) AS NULL::VARCHAR, (t, pretty) AS NULL::VARCHAR;
CREATE MACRO pg_get_partkeydef(r) AS NULL::VARCHAR;
CREATE MACRO pg_get_partition_constraintdef(r) AS NULL::VARCHAR;
CREATE MACRO pg_get_statisticsobjdef(o) AS NULL::VARCHAR;
CREATE MACRO pg_get_statisticsobjdef_columns(o) AS NULL::VARCHAR;
CREATE MACRO pg_get_functiondef(f) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_result(f) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_arguments(f) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_identity_arguments(f) AS NULL::VARCHAR;
CREATE MACRO pg_get_function_sqlbody(f) AS NULL::VARCHAR;
CREATE MACRO pg_get_serial_sequence(t, c) AS NULL::VARCHAR;
CREATE MACRO obj_description(object) AS (SELECT any_value(mr_d.description) FROM mr_catalog.pg_description mr_d WHERE mr_d.objoid = object), (object, catalog) AS (SELECT any_value(mr_d.description) FROM mr_catalog.pg_description mr_d WHERE mr_d.objoid = object);
CREATE MACRO col_description(relation, number) AS NULL::VARCHAR;
CREATE MACRO shobj_description(object, catalog) AS NULL::VARCHAR;
CREATE MACRO pg_table_size(relation) AS 0::BIGINT;
CREATE MACRO pg_relation_size(relation) AS 0::BIGINT;
CREATE MACRO pg_total_relation_size(relation) AS 0::BIGINT;
CREATE MACRO pg_indexes_size(relation) AS 0::BIGINT;
CREATE MACRO pg_database_size(db) AS 0::BIGINT;
CREATE MACRO pg_tablespace_size(t) AS 0::BIGINT;
CREATE MACRO pg_tablespace_location(t) AS '';
CREATE MACRO pg_relation_is_publishable(relation) AS false;
CREATE MACRO pg_relation_filenode(relation) AS NULL::BIGINT;
CREATE MACRO array_upper(list, dimension) AS CASE WHEN len(list) > 0 THEN len(list)::INTEGER END;
CREATE MACRO array_lower(list, dimension) AS CASE WHEN len(list) > 0 THEN 1 END;
CREATE MACRO quote_ident(name) AS CASE WHEN regexp_full_match(name, '[a-z_][a-z0-9_$]*') THEN name ELSE '"' || replace(name, '"', '""') || '"' END;
CREATE MACRO quote_literal(text) AS '''' || replace(text, '''', '''''') || '''';
CREATE MACRO regclass_oid(p_name) AS coalesce(try_cast(p_name::VARCHAR AS BIGINT), (SELECT min(mr_r.oid) FROM mr_catalog.mr_relations mr_r JOIN mr_catalog.mr_namespaces mr_n ON mr_n.oid = mr_r.namespace WHERE replace(p_name::VARCHAR, '"', '') IN (mr_n.name || '.' || mr_r.name, mr_r.name)));
CREATE MACRO to_regclass(p_name) AS mr_catalog.regclass_oid(p_name);
CREATE MACRO regclass_text(relation) AS coalesce((SELECT any_value(CASE WHEN mr_r.visible THEN mr_r.name ELSE mr_n.name || '.' || mr_r.name END) FROM mr_catalog.mr_relations mr_r JOIN mr_catalog.mr_namespaces mr_n ON mr_n.oid = mr_r.namespace WHERE mr_r.oid = try_cast(relation::VARCHAR AS BIGINT)), relation::VARCHAR);
CREATE MACRO regtype_oid(p_name) AS coalesce(try_cast(p_name::VARCHAR AS BIGINT), (SELECT min(mr_t.oid) FROM mr_catalog.mr_types mr_t WHERE lower(p_name::VARCHAR) IN (mr_t.name, mr_t.display)));
CREATE MACRO to_regtype(p_name) AS mr_catalog.regtype_oid(p_name);
CREATE MACRO regtype_text(type) AS coalesce((SELECT any_value(mr_t.display) FROM mr_catalog.mr_types mr_t WHERE mr_t.oid = try_cast(type::VARCHAR AS BIGINT)), type::VARCHAR);
CREATE MACRO regnamespace_oid(p_name) AS coalesce(try_cast(p_name::VARCHAR AS BIGINT), (SELECT min(mr_n.oid) FROM mr_catalog.mr_namespaces mr_n WHERE mr_n.name = p_name::VARCHAR));
CREATE MACRO regnamespace_text(namespace) AS coalesce((SELECT any_value(mr_n.name) FROM mr_catalog.mr_namespaces mr_n WHERE mr_n.oid = try_cast(namespace::VARCHAR AS BIGINT)), namespace::VARCHAR);
CREATE MACRO regproc_text(f) AS coalesce((SELECT any_value(mr_p.proname) FROM mr_catalog.pg_proc mr_p WHERE mr_p.oid = try_cast(f::VARCHAR AS BIGINT)), '-');
CREATE MACRO regproc_oid(p_name) AS coalesce((SELECT any_value(mr_p.oid) FROM mr_catalog.pg_proc mr_p WHERE mr_p.proname = p_name::VARCHAR), 0::BIGINT);
CREATE MACRO regprocedure_text(f) AS f::VARCHAR;
CREATE MACRO regprocedure_oid(f) AS 0::BIGINT;
CREATE MACRO regrole_text(r) AS 'millrace';
CREATE MACRO regrole_oid(r) AS 10::BIGINT;
CREATE MACRO regoper_text(o) AS o::VARCHAR;
CREATE MACRO regoper_oid(o) AS 0::BIGINT;
CREATE MACRO regoperator_text(o) AS o::VARCHAR;
CREATE MACRO regoperator_oid(o) AS 0::BIGINT;
CREATE MACRO regcollation_text(c) AS 'default';
CREATE MACRO regcollation_oid(c) AS 100::BIGINT;
CREATE MACRO regconfig_text(c) AS c::VARCHAR;
CREATE MACRO regconfig_oid(c) AS 0::BIGINT;
CREATE MACRO regdictionary_text(c) AS c::VARCHAR;
CREATE MACRO regdictionary_oid(c) AS 0::BIGINT;
CREATE MACRO has_table_privilege(t, p) AS true, (u, t, p) AS true;
CREATE MACRO has_schema_privilege(s, p) AS true, (u, s, p) AS true;
CREATE MACRO has_database_privilege(d, p) AS true, (u, d, p) AS true;
CREATE MACRO has_column_privilege(t, c, p) AS true, (u, t, c, p) AS true;
CREATE MACRO has_function_privilege(f, p) AS true, (u, f, p) AS true;
CREATE MACRO has_sequence_privilege(s, p) AS true, (u, s, p) AS true;
CREATE MACRO has_any_column_privilege(t, p) AS true, (u, t, p) AS true;
CREATE MACRO pg_has_role(r, p) AS true, (u, r, p) AS true;
CREATE MACRO pg_get_keywords() AS TABLE SELECT keyword_name AS word, CASE keyword_category WHEN 'reserved' THEN 'R' WHEN 'unreserved' THEN 'U' WHEN 'column_name' THEN 'C' ELSE 'T' END AS catcode, keyword_category AS catdesc FROM duckdb_keywords();
CREATE MACRO pg_options_to_table(options) AS TABLE SELECT NULL::VARCHAR AS option_name, NULL::VARCHAR AS option_value WHERE false;
CREATE MACRO pg_show_all_settings() AS TABLE SELECT * FROM mr_catalog.pg_settings;

-- The information schema.
SET search_path = 'mr_system.mr_information,mr_system.mr_catalog';
CREATE MACRO _pg_expandarray(list) AS {'x': NULL::SMALLINT, 'n': NULL::INTEGER};
CREATE VIEW mr_information.information_schema_catalog_name AS SELECT '@DATABASE@' AS catalog_name;
CREATE VIEW mr_information.schemata AS SELECT '@DATABASE@' AS catalog_name, name AS schema_name, 'millrace' AS schema_owner, NULL::VARCHAR AS default_character_set_catalog, NULL::VARCHAR AS default_character_set_schema, NULL::VARCHAR AS default_character_set_name, NULL::VARCHAR AS sql_path FROM mr_catalog.mr_namespaces;
CREATE VIEW mr_information.tables AS SELECT '@DATABASE@' AS table_catalog, n.name AS table_schema, r.name AS table_name, CASE r.kind WHEN 'r' THEN 'BASE TABLE' ELSE 'VIEW' END AS table_type, NULL::VARCHAR AS self_referencing_column_name, NULL::VARCHAR AS reference_generation, NULL::VARCHAR AS user_defined_type_catalog, NULL::VARCHAR AS user_defined_type_schema, NULL::VARCHAR AS user_defined_type_name, 'NO' AS is_insertable_into, 'NO' AS is_typed, NULL::VARCHAR AS commit_action FROM mr_catalog.mr_relations r JOIN mr_catalog.mr_namespaces n ON n.oid = r.namespace;
CREATE VIEW mr_information.views AS SELECT '@DATABASE@' AS table_catalog, n.name AS table_schema, r.name AS table_name, NULL::VARCHAR AS view_definition, 'NONE' AS check_option, 'NO' AS is_updatable, 'NO' AS is_insertable_into, 'NO' AS is_trigger_updatable, 'NO' AS is_trigger_deletable, 'NO' AS is_trigger_insertable_into FROM mr_catalog.mr_relations r JOIN mr_catalog.mr_namespaces n ON n.oid = r.namespace WHERE r.kind = 'v';
CREATE VIEW mr_information.columns AS SELECT
    '@DATABASE@' AS table_catalog, n.name AS table_schema, r.name AS table_name, a.name AS column_name, a.number::INTEGER AS ordinal_position, NULL::VARCHAR AS column_default,
    CASE WHEN a.required THEN 'NO' ELSE 'YES' END AS is_nullable, CASE WHEN t.element <> 0 THEN 'ARRAY' ELSE t.display END AS data_type,
    NULL::INTEGER AS character_maximum_length, CASE WHEN a.type IN (25, 1043) THEN 1073741824 END AS character_octet_length,
    CASE a.type WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53 WHEN 1700 THEN CASE WHEN a.modifier > 0 THEN (a.modifier - 4) >> 16 END END AS numeric_precision,
    CASE WHEN a.type IN (21, 23, 20, 700, 701) THEN 2 WHEN a.type = 1700 THEN 10 END AS numeric_precision_radix,
    CASE WHEN a.type IN (21, 23, 20) THEN 0 WHEN a.type = 1700 AND a.modifier > 0 THEN (a.modifier - 4) & 65535 END AS numeric_scale,
    CASE WHEN a.type = 1082 THEN 0 WHEN a.type IN (1083, 1114, 1184, 1186, 1266) THEN 6 END AS datetime_precision, NULL::VARCHAR AS interval_type, NULL::INTEGER AS interval_precision,
    NULL::VARCHAR AS character_set_catalog, NULL::VARCHAR AS character_set_schema, NULL::VARCHAR AS character_set_name, NULL::VARCHAR AS collation_catalog, NULL::VARCHAR AS collation_schema, NULL::VARCHAR AS collation_name,
    NULL::VARCHAR AS domain_catalog, NULL::VARCHAR AS domain_schema, NULL::VARCHAR AS domain_name, '@DATABASE@' AS udt_catalog, 'pg_catalog' AS udt_schema, t.name AS udt_name,
    NULL::VARCHAR AS scope_catalog, NULL::VARCHAR AS scope_schema, NULL::VARCHAR AS scope_name, NULL::INTEGER AS maximum_cardinality, a.number::VARCHAR AS dtd_identifier, 'NO' AS is_self_referencing, 'NO' AS is_identity,
    NULL::VARCHAR AS identity_generation, NULL::VARCHAR AS identity_start, NULL::VARCHAR AS identity_increment, NULL::VARCHAR AS identity_maximum, NULL::VARCHAR AS identity_minimum, 'NO' AS identity_cycle, 'NEVER' AS is_generated, NULL::VARCHAR AS generation_expression, 'NO' AS is_updatable
    FROM mr_catalog.mr_attributes a JOIN mr_catalog.mr_relations r ON r.oid = a.relation JOIN mr_catalog.mr_namespaces n ON n.oid = r.namespace LEFT JOIN mr_catalog.mr_types t ON t.oid = a.type;
CREATE TABLE mr_information.table_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, constraint_type VARCHAR, is_deferrable VARCHAR, initially_deferred VARCHAR, enforced VARCHAR, nulls_distinct VARCHAR);
CREATE TABLE mr_information.key_column_usage (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, ordinal_position INTEGER, position_in_unique_constraint INTEGER);
CREATE TABLE mr_information.constraint_column_usage (table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR);
CREATE TABLE mr_information.constraint_table_usage (table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR);
CREATE TABLE mr_information.referential_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, unique_constraint_catalog VARCHAR, unique_constraint_schema VARCHAR, unique_constraint_name VARCHAR, match_option VARCHAR, update_rule VARCHAR, delete_rule VARCHAR);
CREATE TABLE mr_information.check_constraints (constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, check_clause VARCHAR);
CREATE TABLE mr_information.routines (specific_catalog VARCHAR, specific_schema VARCHAR, specific_name VARCHAR, routine_catalog VARCHAR, routine_schema VARCHAR, routine_name VARCHAR, routine_type VARCHAR, data_type VARCHAR, routine_definition VARCHAR, external_language VARCHAR);
CREATE TABLE mr_information.parameters (specific_catalog VARCHAR, specific_schema VARCHAR, specific_name VARCHAR, ordinal_position INTEGER, parameter_mode VARCHAR, parameter_name VARCHAR, data_type VARCHAR);
CREATE TABLE mr_information.triggers (trigger_catalog VARCHAR, trigger_schema VARCHAR, trigger_name VARCHAR, event_manipulation VARCHAR, event_object_schema VARCHAR, event_object_table VARCHAR);
CREATE TABLE mr_information.sequences (sequence_catalog VARCHAR, sequence_schema VARCHAR, sequence_name VARCHAR, data_type VARCHAR);
CREATE TABLE mr_information.domains (domain_catalog VARCHAR, domain_schema VARCHAR, domain_name VARCHAR, data_type VARCHAR);
CREATE TABLE mr_information.element_types (object_catalog VARCHAR, object_schema VARCHAR, object_name VARCHAR, object_type VARCHAR, collection_type_identifier VARCHAR, data_type VARCHAR);
CREATE TABLE mr_information.table_privileges (grantor VARCHAR, grantee VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, privilege_type VARCHAR, is_grantable VARCHAR, with_hierarchy VARCHAR);
CREATE TABLE mr_information.role_table_grants (grantor VARCHAR, grantee VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, privilege_type VARCHAR, is_grantable VARCHAR, with_hierarchy VARCHAR);
CREATE TABLE mr_information.character_sets AS SELECT NULL::VARCHAR AS character_set_catalog, NULL::VARCHAR AS character_set_schema, 'UTF8' AS character_set_name, 'UCS' AS character_repertoire, 'UTF8' AS form_of_use, '@DATABASE@' AS default_collate_catalog, 'pg_catalog' AS default_collate_schema, 'C' AS default_collate_name;
CREATE VIEW mr_information.enabled_roles AS SELECT coalesce(getvariable('mr_user')::VARCHAR, 'millrace') AS role_name;
