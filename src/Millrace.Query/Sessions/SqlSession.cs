using Millrace.DuckDb;
using Millrace.Query.Engine;
using Millrace.Query.Sessions;
using Millrace.Query.Text;
using Millrace.Query.Wire;

namespace Millrace.Query;

/// <summary>Who opens a session.</summary>
public sealed record SqlSessionOptions
{
    public string User { get; init; } = "millrace";

    /// <summary>The client's name for itself, shown in the history.</summary>
    public string Application { get; init; } = "";

    /// <summary>Rows that one statement may return; the engine's own cap holds too.</summary>
    public long MaxResultRows { get; init; } = long.MaxValue;
}

internal enum TransactionState
{
    Idle,
    Open,
    Failed,
}

/// <summary>
/// One client's settings, transaction, prepared statements and cursors. Calls may come from any thread and are taken one after another.
/// Parameters are null, bool, short, int, long, ulong, float, double, decimal, string, byte[], DateOnly, TimeOnly, DateTime (no zone),
/// DateTimeOffset, Guid.
/// </summary>
public sealed partial class SqlSession : IAsyncDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly SqlEngine _engine;
    private readonly TableBinder _binder;
    private readonly string _database;
    private SnapshotPins? _pins;
    private EngineRows? _streaming;
    private StatementClock? _running;
    private bool _isDisposed;

    internal SqlSession(SqlEngine engine, int id, SqlSessionOptions options)
    {
        _engine = engine;
        Id = id;
        Options = options;
        _database = $"mr_session_{id}";
        Connection = engine.Database.Connect();
        try
        {
            Connection.Execute($"ATTACH ':memory:' AS {_database}");
            Connection.Execute($"SET search_path = '{_database}.main,{PgCatalog.SystemCatalog.DatabaseName}.{PostgresRewriter.CatalogSchema},{PgCatalog.SystemCatalog.DatabaseName}.{PostgresRewriter.InformationSchema}'");
            Connection.Execute($"SET VARIABLE mr_user = {DuckDbSql.Literal(options.User.Replace("\0", "", StringComparison.Ordinal))}; SET VARIABLE mr_pid = {id}");
        }
        catch
        {
            Connection.Dispose();
            throw;
        }
        _binder = new TableBinder(Connection, _database, engine.Lake, engine.Live, engine.Catalog);
        Settings = new SessionSettings();
        Settings.Changing += OnSettingChanging;
    }

    /// <summary>Counts up; what the wire tells as the process's number.</summary>
    public int Id { get; }

    public SqlSessionOptions Options { get; }

    internal SessionSettings Settings { get; }

    internal TransactionState Transaction { get; private set; }

    internal DuckDbConnection Connection { get; }

    internal ICatalogNames Names => _engine.Catalog;

    internal SyntaxReader Syntax => _engine.Syntax;

    internal int BindingVersion => _binder.Version;

    /// <summary>Prepares and runs one statement.</summary>
    /// <exception cref="SqlException">It was refused or failed.</exception>
    public async Task<SqlResult> ExecuteAsync(string sql, IReadOnlyList<object?>? parameters = null, CancellationToken cancellation = default)
    {
        var statement = await PrepareAsync(sql, null, cancellation);
        try
        {
            return await ExecuteAsync(statement, parameters ?? [], ownsStatement: true, cancellation);
        }
        catch
        {
            await statement.DisposeAsync();
            throw;
        }
    }

    /// <summary>Parses and plans one statement.</summary>
    /// <exception cref="SqlException">It was refused.</exception>
    public Task<SqlStatement> PrepareAsync(string sql, CancellationToken cancellation = default) => PrepareAsync(sql, null, cancellation);

    /// <summary>Runs a prepared statement.</summary>
    /// <exception cref="SqlException">It failed.</exception>
    public Task<SqlResult> ExecuteAsync(SqlStatement statement, IReadOnlyList<object?> parameters, CancellationToken cancellation = default) =>
        ExecuteAsync(statement, parameters, ownsStatement: false, cancellation);

    /// <summary>Stops the statement at work, if there is one: it fails with 57014. From any thread.</summary>
    public void Cancel() => Volatile.Read(ref _running)?.Cancel();

    public async ValueTask DisposeAsync()
    {
        Cancel();
        await _gate.WaitAsync();
        try
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
        }
        finally
        {
            _gate.Release();
        }
        await CloseAllAsync();
        Connection.Dispose();
        _engine.Close(this, _database);
    }

    /// <param name="sql">One statement.</param>
    /// <param name="declared">The client's parameter types; null entries are inferred.</param>
    /// <param name="cancellation">Stops it.</param>
    internal async Task<SqlStatement> PrepareAsync(string sql, IReadOnlyList<PostgresType?>? declared, CancellationToken cancellation)
    {
        try
        {
            if (sql.Length > _engine.Options.MaxStatementLength)
                throw new SqlException($"the statement has {sql.Length} characters, more than MaxStatementLength ({_engine.Options.MaxStatementLength})", SqlStates.LimitExceeded);
            if (SqlScript.Split(sql) is { Count: > 1 })
                throw new SqlException("cannot insert multiple commands into a prepared statement", SqlStates.SyntaxError);
            var command = SqlCommandReader.Read(sql);
            if (Transaction == TransactionState.Failed && command is not SqlCommand.End)
            {
                throw new SqlException(
                    "current transaction is aborted, commands ignored until end of transaction block", SqlStates.FailedTransaction, hint: "ROLLBACK ends it");
            }
            if (command is SqlCommand.Refused refused)
            {
                throw new SqlException(refused.Message, refused.SqlState, refused.SqlState == SqlStates.SyntaxError ? FirstToken(sql) : null, hint: refused.Hint);
            }
            if (QueryOf(command) is not { } query)
                return new SqlStatement(this, sql, command, null, ColumnsOf(command));
            using var clock = NewClock();
            var plan = await CallAsync(clock, null, () => new QueryPlan(this, query, declared ?? []), cancellation);
            return new SqlStatement(this, sql, command, plan, command is SqlCommand.Copy ? [] : ColumnsOf(command));
        }
        catch (SqlException)
        {
            Failed();
            throw;
        }
    }

    internal async Task<SqlResult> ExecuteAsync(
        SqlStatement statement, IReadOnlyList<object?> parameters, bool ownsStatement, CancellationToken cancellation)
    {
        var ownership = ownsStatement ? statement : null;
        try
        {
            if (Transaction == TransactionState.Failed && statement.Command is not SqlCommand.End)
                throw new SqlException("current transaction is aborted, commands ignored until end of transaction block", SqlStates.FailedTransaction);
            switch (statement.Command)
            {
                case SqlCommand.Query:
                    return await StartAsync(statement, parameters, ownership, null, cancellation);
                case SqlCommand.Copy copy:
                    return await StartAsync(statement, parameters, ownership, copy.Format, cancellation);
                default:
                    var result = await RunCommandAsync(statement, parameters, cancellation);
                    if (ownership is not null && statement.Command is not SqlCommand.Declare)
                        await ownership.DisposeAsync();
                    return result;
            }
        }
        catch (SqlException)
        {
            Failed();
            throw;
        }
    }

    /// <summary>An error within a transaction: only its end is taken from here on.</summary>
    internal void Failed()
    {
        if (Transaction == TransactionState.Open)
            Transaction = TransactionState.Failed;
    }

    /// <summary>All statements until <see cref="EndScript"/> read the same snapshots, as those of one simple query do.</summary>
    internal void BeginScript() => _pins ??= new SnapshotPins(_engine.Lake);

    internal void EndScript()
    {
        if (Transaction == TransactionState.Idle)
            _pins = null;
    }

    internal void Bind(StatementReferences references, RewrittenSql sql, int start)
    {
        try
        {
            _binder.Bind(references, sql, start, _pins ?? new SnapshotPins(_engine.Lake), Settings.SearchPath);
        }
        catch (DuckDbException error) when (error.ErrorType != DuckDbErrorType.Interrupt)
        {
            throw new SqlException($"cannot open a table: {error.Message}", SqlStates.IoError, inner: error);
        }
    }

    internal Task<T> ReadAsync<T>(EngineRows rows, StatementClock clock, Func<T> work, CancellationToken cancellation) =>
        CallAsync(clock, rows, work, cancellation);

    internal void Forget(EngineRows rows)
    {
        if (ReferenceEquals(_streaming, rows))
            _streaming = null;
    }

    internal async Task CloseRowsAsync(EngineRows rows, Action close)
    {
        // A result may be given up while its statement is still at work.
        await _gate.WaitAsync();
        try
        {
            close();
        }
        finally
        {
            _gate.Release();
        }
        Forget(rows);
    }

    internal async Task ReleaseAsync(QueryPlan plan)
    {
        await _gate.WaitAsync();
        try
        {
            plan.Dispose();
        }
        finally
        {
            _gate.Release();
        }
    }

    private StatementClock NewClock()
    {
        var limit = _engine.Options.StatementTimeout;
        var asked = Settings.StatementTimeout;
        if (asked > TimeSpan.Zero && (limit == TimeSpan.Zero || asked < limit))
            limit = asked;
        return new StatementClock(_engine.Time, limit);
    }

    /// <summary>Does engine work on a pool thread, within the caps: one at a time in this session, MaxConcurrent in all, in its time.</summary>
    private async Task<T> CallAsync<T>(StatementClock clock, EngineRows? reader, Func<T> work, CancellationToken cancellation)
    {
        try
        {
            await _gate.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            throw new SqlException("canceling statement due to user request", SqlStates.QueryCanceled);
        }
        try
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            Volatile.Write(ref _running, clock);
            await using var stop = cancellation.UnsafeRegister(static state => ((StatementClock)state!).Cancel(), clock);
            clock.Start();
            try
            {
                await _engine.Slots.WaitAsync(clock.Token);
                try
                {
                    using var interrupts = new Interrupts(Connection, _engine.Time, clock.Token);
                    return await Task.Run(
                        () =>
                        {
                            if (!ReferenceEquals(_streaming, reader))
                                _streaming?.Detach();
                            return work();
                        },
                        CancellationToken.None);
                }
                finally
                {
                    _engine.Slots.Release();
                }
            }
            catch (OperationCanceledException)
            {
                throw clock.ToException();
            }
            catch (DuckDbException error)
            {
                throw error.ErrorType == DuckDbErrorType.Interrupt ? clock.ToException() : DuckDbErrors.ToSqlException(error);
            }
            catch (Exception error) when (error is NotSupportedException or InvalidDataException)
            {
                throw new SqlException(error.Message, SqlStates.FeatureNotSupported, inner: error);
            }
            finally
            {
                Volatile.Write(ref _running, null);
                clock.Pause();
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<SqlResult> StartAsync(
        SqlStatement statement, IReadOnlyList<object?> parameters, SqlStatement? ownership, CopyFormat? copy, CancellationToken cancellation)
    {
        var plan = statement.Plan!;
        var record = _engine.History.Begin(Options.User, Settings["application_name"], statement.Sql);
        var clock = NewClock();
        try
        {
            EngineRows? rows = null;
            IReadOnlyList<SqlColumn> columns = await CallAsync(
                clock, null,
                () =>
                {
                    var result = plan.Start(parameters);
                    rows = new EngineRows(this, result, clock, _engine.Options.MaxBufferedBytes);
                    _streaming = rows;
                    return plan.ColumnsOf(result);
                },
                cancellation);
            RowSource source = new OwnedRows(rows!, ownership);
            if (plan.Tag == "EXPLAIN")
                (columns, source) = await ExplainRows.ReadAsync(source, cancellation);
            return new SqlResult(
                this, copy is null ? plan.Tag : "COPY", columns, source,
                Math.Min(_engine.Options.MaxResultRows, Options.MaxResultRows),
                (result, error) => _engine.History.End(record, clock.Used, result.RowCount, error?.Message))
            {
                Copy = copy,
            };
        }
        catch (SqlException error)
        {
            _engine.History.End(record, clock.Used, 0, error.Message);
            clock.Dispose();
            throw;
        }
    }

    private static SqlCommand.Query? QueryOf(SqlCommand command) => command switch
    {
        SqlCommand.Query query => query,
        SqlCommand.Copy copy => copy.Source,
        SqlCommand.Declare declare => declare.Source,
        SqlCommand.CreateTemp create => create.Source with
        {
            Prefix = $"CREATE {(create.Replace ? "OR REPLACE " : "")}TEMP TABLE {(create.IfNotExists ? "IF NOT EXISTS " : "")}{DuckDbSql.Identifier(create.Name)} AS ",
        },
        _ => null,
    };

    private static int FirstToken(string sql) => SqlScript.CharactersBefore(sql, SqlTokenizer.Tokenize(sql) is [var first, ..] ? first.Start : 0) + 1;

    /// <summary>Rows whose statement goes with them.</summary>
    private sealed class OwnedRows(EngineRows rows, SqlStatement? statement) : RowSource
    {
        public override TimeSpan Worked => rows.Worked;

        public override ValueTask<Columnar.ColumnBatch?> NextAsync(CancellationToken cancellation) => rows.NextAsync(cancellation);

        public override async ValueTask DisposeAsync()
        {
            await rows.DisposeAsync();
            if (statement is not null)
                await statement.DisposeAsync();
        }
    }
}
