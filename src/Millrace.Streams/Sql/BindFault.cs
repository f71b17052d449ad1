using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Streams.Sql;

/// <summary>DuckDB's errors as faults: shorter, with a hint where one is known.</summary>
public static class BindFault
{
    private const string Candidates = "Candidate functions:";

    internal static TextFault Explain(DuckDbException error, SqlPlaces places, Schema columns)
    {
        var at = error.Position is { } position ? places.OfCharacter(position) : places.Whole;
        var message = error.Message;
        var kind = message.IndexOf(" Error: ", StringComparison.Ordinal);
        if (kind is > 0 and < 24)
            message = message[(kind + 8)..];
        var lines = message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var first = lines.Length == 0 ? message : lines[0];
        if (error.Subtype == "COLUMN_NOT_FOUND" && Quoted(first) is { } column)
        {
            var hint = NearestName.Hint(column, columns.Fields.Select(f => f.Name).ToArray(), "the columns are");
            return new TextFault(at.Offset, at.Length, "unknown-column", $"there is no column '{column}'", hint);
        }
        if (first.Contains("Function with name", StringComparison.Ordinal))
        {
            var name = Between(first, "name ", " does");
            var hint = lines.FirstOrDefault(l => l.StartsWith("Did you mean", StringComparison.Ordinal)) is { } suggestion && Quoted(suggestion) is { } nearest
                ? $"did you mean '{nearest}'?"
                : null;
            return new TextFault(at.Offset, at.Length, "unknown-function", $"there is no function '{name}'", hint);
        }
        if (error.Subtype == "NO_MATCHING_FUNCTION" || first.StartsWith("No function matches", StringComparison.Ordinal))
        {
            var call = Between(first, "types '", "'");
            var start = Array.FindIndex(lines, l => l.StartsWith(Candidates, StringComparison.Ordinal));
            var takes = start < 0 ? [] : lines.Skip(start + 1).Take(4).ToArray();
            return new TextFault(
                at.Offset, at.Length, "type", $"{call} does not exist: the types do not fit",
                takes.Length == 0 ? "cast an argument: CAST(x AS DOUBLE)" : $"there is {string.Join("; ", takes)}");
        }
        var second = lines.Length > 1 && !lines[1].StartsWith("Candidate", StringComparison.Ordinal) ? lines[1] : null;
        return new TextFault(at.Offset, at.Length, "sql", Sentence(first), second);
    }

    /// <summary>A message of DuckDB's as ours begin: with a small letter, without a stop.</summary>
    public static string Sentence(string message)
    {
        message = message.Trim().TrimEnd('.', '!');
        return message.Length > 1 && char.IsUpper(message[0]) && !char.IsUpper(message[1]) ? char.ToLowerInvariant(message[0]) + message[1..] : message;
    }

    private static string? Quoted(string text)
    {
        var open = text.IndexOf('"', StringComparison.Ordinal);
        var close = open < 0 ? -1 : text.IndexOf('"', open + 1);
        return close < 0 ? null : text[(open + 1)..close];
    }

    private static string Between(string text, string before, string after)
    {
        var start = text.IndexOf(before, StringComparison.Ordinal);
        if (start < 0)
            return text;
        start += before.Length;
        var end = text.IndexOf(after, start, StringComparison.Ordinal);
        return end < 0 ? text[start..] : text[start..end];
    }
}
