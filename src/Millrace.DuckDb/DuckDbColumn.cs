using Millrace.DuckDb.Native;

namespace Millrace.DuckDb;

/// <summary>A result's column as DuckDB calls it, which tells apart what batches hold alike: UUID, JSON, ENUM and VARCHAR.</summary>
/// <param name="Name">May stand twice in a result.</param>
/// <param name="Type">The outermost type.</param>
/// <param name="Alias">The name of a type that stands over <paramref name="Type"/>, e.g. <c>JSON</c> over VARCHAR.</param>
public sealed record DuckDbColumn(string Name, DuckDbType Type, string? Alias)
{
    internal static unsafe DuckDbColumn Read(string name, nint type)
    {
        var alias = NativeMethods.duckdb_logical_type_get_alias(type);
        var text = Text.Read(alias);
        if (alias != null)
            NativeMethods.duckdb_free(alias);
        return new DuckDbColumn(name, (DuckDbType)NativeMethods.duckdb_get_type_id(type), text);
    }
}
