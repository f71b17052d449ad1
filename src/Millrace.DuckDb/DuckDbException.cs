using System.Text.Json;

namespace Millrace.DuckDb;

/// <summary>duckdb_error_type (duckdb.h).</summary>
public enum DuckDbErrorType
{
    Invalid = 0,
    OutOfRange = 1,
    Conversion = 2,
    UnknownType = 3,
    Decimal = 4,
    MismatchType = 5,
    DivideByZero = 6,
    ObjectSize = 7,
    InvalidType = 8,
    Serialization = 9,
    Transaction = 10,
    NotImplemented = 11,
    Expression = 12,
    Catalog = 13,
    Parser = 14,
    Planner = 15,
    Scheduler = 16,
    Executor = 17,
    Constraint = 18,
    Index = 19,
    Stat = 20,
    Connection = 21,
    Syntax = 22,
    Settings = 23,
    Binder = 24,
    Network = 25,
    Optimizer = 26,
    NullPointer = 27,
    IO = 28,
    Interrupt = 29,
    Fatal = 30,
    Internal = 31,
    InvalidInput = 32,
    OutOfMemory = 33,
    Permission = 34,
    ParameterNotResolved = 35,
    ParameterNotAllowed = 36,
    Dependency = 37,
    Http = 38,
    MissingExtension = 39,
    AutoLoad = 40,
    Sequence = 41,
    InvalidConfiguration = 42,
}

/// <summary>DuckDB refused a statement or failed at it.</summary>
public sealed class DuckDbException : Exception
{
    public DuckDbException(string message, DuckDbErrorType errorType, int? position = null, string? subtype = null, string? caret = null)
        : base(message)
    {
        ErrorType = errorType;
        Position = position;
        Subtype = subtype;
        Caret = caret;
    }

    public DuckDbErrorType ErrorType { get; }

    /// <summary>Where in the statement's text, in characters from 0, where DuckDB says so.</summary>
    public int? Position { get; }

    /// <summary>DuckDB's finer kind, e.g. <c>COLUMN_NOT_FOUND</c>, where it says so.</summary>
    public string? Subtype { get; }

    /// <summary>Two lines, the statement's line and a caret under the place, where DuckDB says so.</summary>
    public string? Caret { get; }

    /// <summary>Reads an error text, which is JSON when <c>errors_as_json</c> is on, else DuckDB's own lines.</summary>
    internal static DuckDbException Parse(string text, DuckDbErrorType type, string? sql)
    {
        int? position = null;
        string? subtype = null;
        var message = text;
        // A failed extraction puts its kind before the JSON: "Parser Error: {...}".
        var json = text.IndexOf('{');
        if ((json == 0 || (json > 0 && text.AsSpan(0, json).EndsWith(" Error: ")))
            && TryReadJson(text[json..], out var name, out var inner, out position, out subtype))
        {
            message = name.Length > 0 ? $"{name} Error: {inner}" : inner;
            if (type is DuckDbErrorType.Invalid && TypeByName(name) is { } known)
                type = known;
        }
        else if (type == DuckDbErrorType.Invalid && text.IndexOf(" Error: ", StringComparison.Ordinal) is > 0 and var end)
        {
            type = TypeByName(text[..end]) ?? type;
        }
        string? caret = null;
        var line = message.IndexOf("\nLINE ", StringComparison.Ordinal);
        if (line >= 0)
        {
            caret = message[(line + 1)..].TrimEnd('\n');
            message = message[..line].TrimEnd('\n');
            position ??= PositionOf(caret, sql);
        }
        else if (position is { } at && sql is not null)
        {
            // DuckDB counts bytes; people count characters.
            position = Characters(sql, at);
            caret = Draw(sql, position.Value);
        }
        return new DuckDbException(message, type, position, subtype, caret);
    }

    private static bool TryReadJson(string text, out string name, out string message, out int? position, out string? subtype)
    {
        (name, message, position, subtype) = ("", text, null, null);
        try
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            if (!root.TryGetProperty("exception_message", out var inner))
                return false;
            message = inner.GetString() ?? text;
            if (root.TryGetProperty("exception_type", out var type))
                name = type.GetString() ?? "";
            if (root.TryGetProperty("position", out var at) && int.TryParse(at.GetString(), out var number))
                position = number;
            if (root.TryGetProperty("error_subtype", out var sub))
                subtype = sub.GetString();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static DuckDbErrorType? TypeByName(string name) => name switch
    {
        "Out of Range" => DuckDbErrorType.OutOfRange,
        "Out of Memory" => DuckDbErrorType.OutOfMemory,
        "Not implemented" => DuckDbErrorType.NotImplemented,
        "Invalid Input" => DuckDbErrorType.InvalidInput,
        "INTERRUPT" or "Interrupted" => DuckDbErrorType.Interrupt,
        "INTERNAL" => DuckDbErrorType.Internal,
        "FATAL" => DuckDbErrorType.Fatal,
        "TransactionContext" => DuckDbErrorType.Transaction,
        "Missing Extension" => DuckDbErrorType.MissingExtension,
        "Invalid Configuration" => DuckDbErrorType.InvalidConfiguration,
        _ => Enum.TryParse<DuckDbErrorType>(name, ignoreCase: true, out var type) ? type : null,
    };

    private static int Characters(string sql, int bytes)
    {
        var characters = 0;
        foreach (var rune in sql.EnumerateRunes())
        {
            if (bytes <= 0)
                break;
            bytes -= rune.Utf8SequenceLength;
            characters += rune.Utf16SequenceLength;
        }
        return characters;
    }

    private static string Draw(string sql, int position)
    {
        position = Math.Min(position, sql.Length);
        var start = position == 0 ? 0 : sql.LastIndexOf('\n', position - 1) + 1;
        var end = sql.IndexOf('\n', position);
        var line = sql.AsSpan(0, position).Count('\n') + 1;
        var head = $"LINE {line}: ";
        return $"{head}{sql[start..(end < 0 ? sql.Length : end)].TrimEnd('\r')}\n{new string(' ', head.Length + position - start)}^";
    }

    // "LINE 2: SELECT nope FROM t\n               ^": the line may be cut on both sides by "...".
    private static int? PositionOf(string caret, string? sql)
    {
        var lines = caret.Split('\n');
        if (sql is null || lines.Length < 2 || !lines[^1].EndsWith('^'))
            return null;
        var colon = lines[0].IndexOf(": ", StringComparison.Ordinal);
        if (colon < 0 || !int.TryParse(lines[0].AsSpan(5, colon - 5), out var number))
            return null;
        var start = 0;
        for (var i = 1; i < number; i++)
        {
            start = sql.IndexOf('\n', start) + 1;
            if (start == 0)
                return null;
        }
        var shown = lines[0][(colon + 2)..];
        var column = lines[^1].Length - 1 - (colon + 2);
        if (shown.StartsWith("...", StringComparison.Ordinal))
        {
            var rest = shown[3..];
            if (rest.EndsWith("...", StringComparison.Ordinal))
                rest = rest[..^3];
            var found = sql.IndexOf(rest, start, StringComparison.Ordinal);
            if (found < 0)
                return null;
            start = found - 3;
        }
        var position = start + column;
        return position >= 0 && position <= sql.Length ? position : null;
    }
}
