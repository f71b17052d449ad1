using Millrace.Columnar;

namespace Millrace.Query;

/// <summary>A table's name: namespace levels joined by a dot, and the last part.</summary>
internal readonly record struct TableName(string Namespace, string Name)
{
    public override string ToString() => $"{Namespace}.{Name}";
}

/// <summary>One state of a table, which does not change.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Version">Tells states apart, e.g. the metadata file's path and the snapshot's id.</param>
/// <param name="Schema">Its columns in that state.</param>
/// <param name="ScanSql">A query in DuckDB's SQL that reads it; may open manifests, so it is asked for only when the table is read.</param>
internal sealed record LakeTable(TableName Name, string Version, Schema Schema, Func<string> ScanSql);

/// <summary>The tables that queries read. Thread-safe.</summary>
internal interface ILakeTables
{
    /// <summary>Folders whose files the scans read.</summary>
    IReadOnlyList<string> Folders { get; }

    /// <summary>Namespaces, also those without tables.</summary>
    IReadOnlyList<string> Namespaces();

    IReadOnlyList<TableName> List();

    /// <summary>The present state, or null when there is no such table.</summary>
    LakeTable? Load(TableName name);
}
