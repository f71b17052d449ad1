using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Query.Text;
using Millrace.Query.Wire;

namespace Millrace.Query.Engine;

/// <summary>A query prepared on a session's connection. Used on the session's engine thread only.</summary>
internal sealed class QueryPlan : IDisposable
{
    private readonly SqlSession _session;
    private readonly SqlCommand.Query _query;
    private readonly IReadOnlyList<PostgresType?> _declared;
    private RewrittenSql _sql;
    private StatementReferences _references;
    private DuckDbStatement _native;
    private int _version;

    /// <summary>The columns by their own names and types, where the statement that runs has others.</summary>
    private IReadOnlyList<DuckDbColumn>? _columns;

    /// <summary>Parses, binds and prepares.</summary>
    /// <param name="session">Whose connection and snapshots.</param>
    /// <param name="query">What to run.</param>
    /// <param name="declared">Types that the client gave its parameters; null entries are inferred.</param>
    /// <exception cref="SqlException">The query is refused.</exception>
    public QueryPlan(SqlSession session, SqlCommand.Query query, IReadOnlyList<PostgresType?> declared)
    {
        _session = session;
        _query = query;
        _declared = declared;
        var casts = declared.Select(CastFor).ToArray();
        (_sql, _references) = Read(casts);
        _native = Prepare();
        Parameters = ReadParameters();
        // Values travel as text for types that have no plain form; a cast that stands there tells DuckDB what they are.
        if (Refine(casts, NeedsCast))
            Columns = ReadColumns(_columns ?? _native.Columns(), _native.DescribeColumns());
        // What nothing else tells is text, as in PostgreSQL, so that the columns can be described before the values come.
        else if ((Columns = ReadColumns(_columns ?? _native.Columns(), _native.DescribeColumns())) is null && Refine(casts, _ => true))
            Columns = ReadColumns(_columns ?? _native.Columns(), _native.DescribeColumns());
    }

    /// <summary>What each parameter is told to be.</summary>
    public IReadOnlyList<PostgresType> Parameters { get; }

    /// <summary>Null when they depend on the parameters.</summary>
    public IReadOnlyList<SqlColumn>? Columns { get; private set; }

    public string Tag => _query.Tag;

    /// <summary>Runs at the session's snapshots, preparing anew when a table has moved on.</summary>
    public DuckDbResult Start(IReadOnlyList<object?> values)
    {
        _session.Bind(_references, _sql, _query.Start);
        if (_version != _session.BindingVersion)
        {
            _native.Dispose();
            _native = Prepare();
        }
        var count = _native.ParameterCount;
        if (values.Count < count)
        {
            throw new SqlException(
                $"there is no parameter ${values.Count + 1}", SqlStates.UndefinedParameter, detail: $"the statement has {count} parameters, {values.Count} are given");
        }
        return Guard(() =>
        {
            _native.ClearBindings();
            for (var i = 0; i < count; i++)
                _native.Bind(i + 1, Convert(values[i], i < Parameters.Count ? Parameters[i] : PostgresTypes.Text, _sql.ArrayParameters.Contains(i + 1)));
            return _native.Execute(streaming: true);
        });
    }

    public IReadOnlyList<SqlColumn> ColumnsOf(DuckDbResult result) => ReadColumns(_columns ?? result.Columns(), result.Schema)!;

    /// <summary>Tells DuckDB's errors as the user's, with their place in what was typed.</summary>
    public T Guard<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (DuckDbException error) when (error.ErrorType != DuckDbErrorType.Interrupt)
        {
            throw DuckDbErrors.ToSqlException(error, _sql, _query.Prefix.Length, _query.Start);
        }
    }

    public void Dispose() => _native.Dispose();

    private (RewrittenSql Sql, StatementReferences References) Read(IReadOnlyList<string?> casts)
    {
        RewrittenSql sql;
        try
        {
            sql = PostgresRewriter.Rewrite(_query.Sql, _session.Names, casts);
        }
        catch (SqlException error) when (error.Position is { } at)
        {
            throw error.At(at + _query.Start);
        }
        var references = _session.Syntax.Read(sql, _query.Start);
        AllowedFunctions.Check(references, sql, _query.Start);
        return (sql, references);
    }

    private DuckDbStatement Prepare()
    {
        _session.Bind(_references, _sql, _query.Start);
        _version = _session.BindingVersion;
        _columns = null;
        var native = Guard(() => _session.Connection.Prepare(_query.Prefix + _sql.Text));
        if (_query.Prefix.Length > 0 || native.Columns() is not { } columns || !columns.Any(c => TravelsAsText(c.Type)))
            return native;
        // Batches hold no such values: the query is asked again with texts in their stead, under names that are surely distinct.
        native.Dispose();
        _columns = columns;
        var names = string.Join(", ", columns.Select((_, i) => $"c{i}"));
        var values = string.Join(", ", columns.Select((c, i) => TravelsAsText(c.Type) ? $"c{i}::VARCHAR" : $"c{i}"));
        return Guard(() => _session.Connection.Prepare($"SELECT {values} FROM ({_sql.Text}\n) AS mr_rows({names})"));
    }

    private static bool TravelsAsText(DuckDbType type) => type is DuckDbType.TimeTz or DuckDbType.Bit or DuckDbType.Union or DuckDbType.BigNum;

    /// <summary>Prepares anew with casts for the parameters that are chosen and have none; false when there are none such.</summary>
    private bool Refine(string?[] casts, Func<PostgresType, bool> choose)
    {
        var refined = new string?[Parameters.Count];
        var changed = false;
        for (var i = 0; i < refined.Length; i++)
        {
            refined[i] = i < casts.Length ? casts[i] : null;
            if (refined[i] is not null || !choose(Parameters[i]))
                continue;
            refined[i] = Parameters[i].SqlName;
            changed = true;
        }
        if (!changed)
            return false;
        _native.Dispose();
        (_sql, _references) = Read(refined);
        _native = Prepare();
        return true;
    }

    private PostgresType[] ReadParameters()
    {
        var types = new PostgresType[Math.Max(_native.ParameterCount, _declared.Count)];
        for (var i = 0; i < types.Length; i++)
        {
            types[i] = i < _declared.Count && _declared[i] is { } declared
                ? declared
                : i < _native.ParameterCount ? OfEngine(_native.ParameterType(i + 1)) : PostgresTypes.Text;
        }
        return types;
    }

    private static SqlColumn[]? ReadColumns(IReadOnlyList<DuckDbColumn>? columns, Schema? schema)
    {
        if (columns is null || schema is null)
            return null;
        var result = new SqlColumn[columns.Count];
        for (var i = 0; i < result.Length; i++)
        {
            var type = schema[i].Type;
            var sqlType = columns[i].Alias ?? columns[i].Type switch
            {
                DuckDbType.Uuid => "UUID",
                DuckDbType.Bit => "BIT",
                DuckDbType.TimeTz => "TIMETZ",
                _ => type.SqlName,
            };
            result[i] = new SqlColumn(NameOf(columns[i].Name), type, sqlType);
        }
        return result;
    }

    /// <summary>DuckDB calls an expression by its text, in which names of our own making may stand.</summary>
    private static string NameOf(string name) =>
        name.Contains(PostgresRewriter.CatalogSchema + ".", StringComparison.Ordinal) ? name.Replace(PostgresRewriter.CatalogSchema + ".", "", StringComparison.Ordinal) : name;

    private static object? Convert(object? value, PostgresType type, bool isArray)
    {
        if (value is not string text)
            return value;
        if (PostgresTypes.ElementOf(type.Oid) is not null || (isArray && text.StartsWith('{')))
            return ArrayText.ToDuckDb(text);
        if (type != PostgresTypes.Numeric)
            return text;
        return decimal.TryParse(text, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out var number)
            ? number
            : double.TryParse(text, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture, out var real)
                ? real
                : throw new SqlException($"invalid input syntax for type numeric: \"{text}\"", SqlStates.InvalidTextRepresentation);
    }

    /// <summary>A declared type is put around the parameter; not a decimal's, which would fix its scale.</summary>
    private static string? CastFor(PostgresType? type) => type is null || type == PostgresTypes.Numeric ? null : type.SqlName;

    private static bool NeedsCast(PostgresType type) => type == PostgresTypes.Date || type == PostgresTypes.Time || type == PostgresTypes.Timestamp
        || type == PostgresTypes.TimestampTz || type == PostgresTypes.Interval || type == PostgresTypes.Uuid;

    private static PostgresType OfEngine(DuckDbType type) => type switch
    {
        DuckDbType.Boolean => PostgresTypes.Bool,
        DuckDbType.TinyInt or DuckDbType.UTinyInt or DuckDbType.SmallInt => PostgresTypes.Int2,
        DuckDbType.USmallInt or DuckDbType.Integer => PostgresTypes.Int4,
        DuckDbType.UInteger or DuckDbType.BigInt => PostgresTypes.Int8,
        DuckDbType.UBigInt or DuckDbType.HugeInt or DuckDbType.UHugeInt or DuckDbType.Decimal => PostgresTypes.Numeric,
        DuckDbType.Float => PostgresTypes.Float4,
        DuckDbType.Double => PostgresTypes.Float8,
        DuckDbType.Date => PostgresTypes.Date,
        DuckDbType.Time => PostgresTypes.Time,
        DuckDbType.Timestamp or DuckDbType.TimestampSeconds or DuckDbType.TimestampMillis or DuckDbType.TimestampNanos => PostgresTypes.Timestamp,
        DuckDbType.TimestampTz => PostgresTypes.TimestampTz,
        DuckDbType.Interval => PostgresTypes.Interval,
        DuckDbType.Blob => PostgresTypes.Bytea,
        DuckDbType.Uuid => PostgresTypes.Uuid,
        _ => PostgresTypes.Text,
    };
}
