using System.Text;

namespace Millrace.Iceberg;

/// <summary>Quoting for DuckDB: the one place where names and texts become SQL.</summary>
internal static class Sql
{
    public static string Name(string name) => "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    /// <summary>A string literal. NUL, which SQL text cannot carry, becomes chr(0).</summary>
    public static string Text(string value)
    {
        if (!value.Contains('\0', StringComparison.Ordinal))
            return "'" + value.Replace("'", "''", StringComparison.Ordinal) + "'";
        return "(" + string.Join(" || chr(0) || ", value.Split('\0').Select(Text)) + ")";
    }

    public static string Blob(ReadOnlySpan<byte> value)
    {
        var text = new StringBuilder(value.Length * 4 + 8).Append('\'');
        foreach (var b in value)
            text.Append("\\x").Append(b.ToString("X2"));
        return text.Append("'::BLOB").ToString();
    }

    /// <summary>A list of string literals in brackets.</summary>
    public static string TextList(IEnumerable<string> values) => "[" + string.Join(", ", values.Select(Text)) + "]";
}
