namespace Millrace.Query;

/// <summary>
/// A statement that could not be run, told as PostgreSQL tells it. <see cref="Exception.Message"/> is one sentence without place.
/// </summary>
public sealed class SqlException : Exception
{
    public SqlException(
        string message, string sqlState, int? position = null, string? detail = null, string? hint = null, Exception? inner = null)
        : base(message, inner)
    {
        SqlState = sqlState;
        Position = position;
        Detail = detail;
        Hint = hint;
    }

    /// <summary>Five characters, PostgreSQL's Appendix A; see <see cref="SqlStates"/>.</summary>
    public string SqlState { get; }

    /// <summary>The 1-based offset in characters (code points) of the mistake in the statement's text, where it is known.</summary>
    public int? Position { get; }

    public string? Detail { get; }

    /// <summary>What to do next, e.g. the nearest names.</summary>
    public string? Hint { get; }

    /// <summary>The statement failed because of Millrace or the machine, not because of its text.</summary>
    public bool IsInternal => SqlState is SqlStates.InternalError or SqlStates.IoError;

    /// <summary>The same failure with its place moved: for a statement that is a part of a longer text.</summary>
    internal SqlException At(int? position) => new(Message, SqlState, position, Detail, Hint, this);
}

/// <summary>The error codes that Millrace gives (PostgreSQL, Appendix A).</summary>
public static class SqlStates
{
    public const string ConnectionFailure = "08006";
    public const string ProtocolViolation = "08P01";
    public const string FeatureNotSupported = "0A000";
    public const string CardinalityViolation = "21000";
    public const string DataException = "22000";
    public const string StringTruncation = "22001";
    public const string NumericOutOfRange = "22003";
    public const string DatetimeFormat = "22007";
    public const string DatetimeOverflow = "22008";
    public const string DivisionByZero = "22012";
    public const string InvalidParameterValue = "22023";
    public const string InvalidTextRepresentation = "22P02";
    public const string InvalidBinaryRepresentation = "22P03";
    public const string ConstraintViolation = "23000";
    public const string InvalidCursorState = "24000";
    public const string ActiveTransaction = "25001";
    public const string ReadOnlyTransaction = "25006";
    public const string NoActiveTransaction = "25P01";
    public const string FailedTransaction = "25P02";
    public const string InvalidStatementName = "26000";
    public const string InvalidAuthorization = "28000";
    public const string InvalidPassword = "28P01";
    public const string InvalidCursorName = "34000";
    public const string InvalidSchemaName = "3F000";
    public const string InsufficientPrivilege = "42501";
    public const string SyntaxError = "42601";
    public const string UndefinedColumn = "42703";
    public const string AmbiguousColumn = "42702";
    public const string UndefinedFunction = "42883";
    public const string UndefinedTable = "42P01";
    public const string UndefinedParameter = "42P02";
    public const string AmbiguousAlias = "42P09";
    public const string UndefinedObject = "42704";
    public const string DatatypeMismatch = "42804";
    public const string GroupingError = "42803";
    public const string DuplicateCursor = "42P03";
    public const string DuplicateStatement = "42P05";
    public const string DuplicateTable = "42P07";
    public const string SyntaxOrAccess = "42000";
    public const string OutOfMemory = "53200";
    public const string DiskFull = "53100";
    public const string TooManyConnections = "53300";
    public const string LimitExceeded = "54000";
    public const string QueryCanceled = "57014";
    public const string AdminShutdown = "57P01";
    public const string IoError = "58030";
    public const string InternalError = "XX000";
}
