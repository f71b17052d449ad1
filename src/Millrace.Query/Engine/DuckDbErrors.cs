using System.Text.RegularExpressions;
using Millrace.DuckDb;
using Millrace.Query.Text;

namespace Millrace.Query.Engine;

/// <summary>DuckDB's errors as PostgreSQL tells them.</summary>
internal static partial class DuckDbErrors
{
    /// <param name="error">What DuckDB threw.</param>
    /// <param name="sql">The statement as it was run, for the place; null when there is none.</param>
    /// <param name="prefix">Characters in front of <paramref name="sql"/> in what was run.</param>
    /// <param name="start">Where <paramref name="sql"/> began in the user's statement.</param>
    public static SqlException ToSqlException(DuckDbException error, RewrittenSql? sql = null, int prefix = 0, int start = 0)
    {
        var (message, hint, detail) = Divide(error.Message);
        return new SqlException(
            Tidy(message), StateOf(error, message), PositionOf(error, sql, prefix, start), detail is null ? null : Tidy(detail), hint is null ? null : Tidy(hint), error);
    }

    private static string StateOf(DuckDbException error, string message)
    {
        switch (error.Subtype)
        {
            case "COLUMN_NOT_FOUND":
                return SqlStates.UndefinedColumn;
            case "NO_MATCHING_FUNCTION":
                return SqlStates.UndefinedFunction;
            case "SYNTAX_ERROR":
                return SqlStates.SyntaxError;
        }
        return error.ErrorType switch
        {
            DuckDbErrorType.Parser or DuckDbErrorType.Syntax => SqlStates.SyntaxError,
            DuckDbErrorType.Catalog => CatalogState(message),
            DuckDbErrorType.Binder => BinderState(message),
            DuckDbErrorType.Conversion => ConversionState(message),
            DuckDbErrorType.OutOfRange or DuckDbErrorType.Decimal => SqlStates.NumericOutOfRange,
            DuckDbErrorType.DivideByZero => SqlStates.DivisionByZero,
            DuckDbErrorType.Interrupt => SqlStates.QueryCanceled,
            DuckDbErrorType.OutOfMemory => message.Contains("max_temp_directory_size", StringComparison.Ordinal) ? SqlStates.DiskFull : SqlStates.OutOfMemory,
            DuckDbErrorType.Permission => SqlStates.InsufficientPrivilege,
            DuckDbErrorType.Constraint => SqlStates.ConstraintViolation,
            DuckDbErrorType.NotImplemented => SqlStates.FeatureNotSupported,
            DuckDbErrorType.Transaction => SqlStates.FailedTransaction,
            DuckDbErrorType.IO => SqlStates.IoError,
            DuckDbErrorType.ParameterNotResolved or DuckDbErrorType.ParameterNotAllowed => SqlStates.UndefinedParameter,
            DuckDbErrorType.InvalidInput => InvalidInputState(message),
            DuckDbErrorType.MismatchType or DuckDbErrorType.UnknownType or DuckDbErrorType.InvalidType => SqlStates.DatatypeMismatch,
            DuckDbErrorType.Expression => SqlStates.SyntaxOrAccess,
            DuckDbErrorType.Settings or DuckDbErrorType.InvalidConfiguration => SqlStates.InvalidParameterValue,
            _ => SqlStates.InternalError,
        };
    }

    private static string CatalogState(string message)
    {
        if (message.StartsWith("Table with name", StringComparison.Ordinal) || message.StartsWith("View with name", StringComparison.Ordinal))
            return message.Contains("already exists", StringComparison.Ordinal) ? SqlStates.DuplicateTable : SqlStates.UndefinedTable;
        if (message.Contains("Function with name", StringComparison.Ordinal))
            return SqlStates.UndefinedFunction;
        return message.StartsWith("Schema with name", StringComparison.Ordinal) ? SqlStates.InvalidSchemaName : SqlStates.UndefinedObject;
    }

    private static string BinderState(string message)
    {
        if (message.Contains("not found in FROM clause", StringComparison.Ordinal) || message.Contains("does not have a column named", StringComparison.Ordinal))
            return SqlStates.UndefinedColumn;
        if (message.StartsWith("Referenced table", StringComparison.Ordinal))
            return SqlStates.UndefinedTable;
        if (message.StartsWith("Ambiguous reference", StringComparison.Ordinal))
            return SqlStates.AmbiguousColumn;
        if (message.Contains("GROUP BY", StringComparison.Ordinal) || message.Contains("aggregate", StringComparison.Ordinal))
            return SqlStates.GroupingError;
        if (message.Contains("No function matches", StringComparison.Ordinal) || message.Contains("best candidate function", StringComparison.Ordinal))
            return SqlStates.UndefinedFunction;
        if (message.Contains("Cannot compare values of type", StringComparison.Ordinal) || message.Contains("type", StringComparison.OrdinalIgnoreCase))
            return SqlStates.DatatypeMismatch;
        return SqlStates.SyntaxError;
    }

    private static string ConversionState(string message)
    {
        if (message.Contains("out of range", StringComparison.Ordinal))
            return message.Contains("date", StringComparison.OrdinalIgnoreCase) || message.Contains("time", StringComparison.OrdinalIgnoreCase)
                ? SqlStates.DatetimeOverflow
                : SqlStates.NumericOutOfRange;
        if (message.Contains("timestamp", StringComparison.OrdinalIgnoreCase) || message.Contains("date field", StringComparison.OrdinalIgnoreCase))
            return SqlStates.DatetimeFormat;
        return SqlStates.InvalidTextRepresentation;
    }

    private static string InvalidInputState(string message)
    {
        if (message.StartsWith("More than one row", StringComparison.Ordinal))
            return SqlStates.CardinalityViolation;
        return message.StartsWith("Expected", StringComparison.Ordinal) || message.Contains("parameter", StringComparison.Ordinal)
            ? SqlStates.UndefinedParameter
            : SqlStates.InvalidParameterValue;
    }

    /// <summary>DuckDB writes the nearest names and candidates behind its message; PostgreSQL gives them as hint and detail.</summary>
    private static (string Message, string? Hint, string? Detail) Divide(string text)
    {
        var colon = text.IndexOf(" Error: ", StringComparison.Ordinal);
        if (colon is > 0 and < 30 && !text.AsSpan(0, colon).ContainsAny('\n', '"', '.'))
            text = text[(colon + " Error: ".Length)..];
        var lines = text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (lines.Length == 0)
            return (text, null, null);
        string? hint = null;
        var rest = new List<string>();
        foreach (var line in lines.AsSpan(1))
        {
            if (line.StartsWith("Did you mean", StringComparison.Ordinal))
                hint = line;
            else if (line.StartsWith("Candidate bindings", StringComparison.Ordinal) || line.StartsWith("Candidate tables", StringComparison.Ordinal))
                hint = "Did you mean " + line[(line.IndexOf(": ", StringComparison.Ordinal) + 2)..].TrimStart(':', ' ') + "?";
            else if (line.StartsWith("Either add it", StringComparison.Ordinal) || line.StartsWith("Use \"SET", StringComparison.Ordinal))
                hint = line.StartsWith("Use", StringComparison.Ordinal) ? null : line;
            else
                rest.Add(line);
        }
        return (lines[0], hint, rest.Count == 0 ? null : string.Join("\n", rest));
    }

    private static int? PositionOf(DuckDbException error, RewrittenSql? sql, int prefix, int start)
    {
        if (error.Position is not { } at || sql is null || at < prefix)
            return null;
        var original = sql.ToOriginal(at - prefix);
        var characters = SqlScript.CharactersBefore(sql.Original, original) + start;
        return characters < 0 ? null : characters + 1;
    }

    /// <summary>Names of our own making are not the user's business.</summary>
    private static string Tidy(string text) => SessionCatalog().Replace(
        text.Replace(PostgresRewriter.CatalogSchema, "pg_catalog", StringComparison.Ordinal)
            .Replace(PostgresRewriter.InformationSchema, "information_schema", StringComparison.Ordinal), "");

    [GeneratedRegex("""\bmr_session_\d+\.(main\.)?""")]
    private static partial Regex SessionCatalog();
}
