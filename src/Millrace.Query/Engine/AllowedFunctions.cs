using System.Collections.Frozen;
using Millrace.Query.Text;

namespace Millrace.Query.Engine;

/// <summary>
/// What statements may call. Functions in FROM are allowed by name, since there stand those that read files, change settings and run
/// SQL from text; functions of values are allowed but for a few. DuckDB's own bars (no external access beyond the tables' folders)
/// stand behind this one.
/// </summary>
internal static class AllowedFunctions
{
    private static readonly FrozenSet<string> InFrom = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase,
        "range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary", "test_all_types", "pg_timezone_names",
        "generate_subscripts", "regexp_split_to_table", "duckdb_keywords", "duckdb_functions", "duckdb_types", "icu_calendar_names",
        "pg_get_keywords", "pg_show_all_settings", "pg_options_to_table", "_pg_expandarray", "pg_ls_dir_none", "pg_cursor", "pg_lock_status",
        "pg_stat_get_activity", "string_split", "string_to_table");

    private static readonly FrozenSet<string> DeniedValues = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase,
        "getenv", "write_log", "json_execute_serialized_sql", "json_serialize_plan", "nextval", "currval", "add_parquet_key", "setseed", "which_secret");

    /// <exception cref="SqlException">A function is out of reach.</exception>
    public static void Check(StatementReferences references, RewrittenSql sql, int start)
    {
        foreach (var function in references.Functions)
        {
            if (function.IsTable ? InFrom.Contains(function.Name) : !DeniedValues.Contains(function.Name))
                continue;
            throw new SqlException(
                $"function {function.Name} is not allowed", SqlStates.InsufficientPrivilege, Positions.Of(function.Location, sql, start),
                hint: function.IsTable
                    ? "statements read tables only; files, settings and SQL in text are out of reach"
                    : null);
        }
    }
}

/// <summary>Places in bytes of a rewritten statement, as PostgreSQL counts places in the original.</summary>
internal static class Positions
{
    public static int? Of(long bytes, RewrittenSql sql, int start)
    {
        if (bytes < 0)
            return null;
        var index = 0;
        foreach (var rune in sql.Text.EnumerateRunes())
        {
            if (bytes <= 0)
                break;
            bytes -= rune.Utf8SequenceLength;
            index += rune.Utf16SequenceLength;
        }
        var characters = SqlScript.CharactersBefore(sql.Original, sql.ToOriginal(index)) + start;
        return characters < 0 ? null : characters + 1;
    }
}
