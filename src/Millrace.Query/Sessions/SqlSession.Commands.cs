using System.Globalization;
using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb;
using Millrace.Query.Engine;
using Millrace.Query.Text;
using Millrace.Query.Wire;

namespace Millrace.Query;

// The statements that a session answers itself.
public sealed partial class SqlSession
{
    private readonly Dictionary<string, SqlStatement> _prepared = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Cursor> _cursors = new(StringComparer.Ordinal);

    /// <summary>Statements by name: SQL's PREPARE and the wire's Parse share them.</summary>
    internal IReadOnlyDictionary<string, SqlStatement> Prepared => _prepared;

    /// <exception cref="SqlException">The name is taken, or there are too many.</exception>
    internal void Keep(string name, SqlStatement statement)
    {
        if (_prepared.ContainsKey(name))
            throw new SqlException($"prepared statement \"{name}\" already exists", SqlStates.DuplicateStatement);
        if (_prepared.Count >= _engine.Options.MaxPrepared)
            throw new SqlException($"the session holds MaxPrepared ({_engine.Options.MaxPrepared}) prepared statements", SqlStates.LimitExceeded, hint: "DEALLOCATE some");
        _prepared.Add(name, statement);
    }

    internal async ValueTask DropAsync(string name)
    {
        if (_prepared.Remove(name, out var statement))
            await statement.DisposeAsync();
    }

    private IReadOnlyList<SqlColumn>? ColumnsOf(SqlCommand command) => command switch
    {
        SqlCommand.Show { Name: { } name } => [new SqlColumn(name, DataType.Utf8, "VARCHAR")],
        SqlCommand.Show => ShowAllColumns.Select(n => new SqlColumn(n, DataType.Utf8, "VARCHAR")).ToArray(),
        SqlCommand.Fetch { Move: false } fetch => FindCursor(fetch.Name).Result.Columns,
        SqlCommand.Execute execute => FindPrepared(execute.Name).Columns,
        _ => [],
    };

    private static readonly string[] ShowAllColumns = ["name", "setting", "description"];

    private async Task<SqlResult> RunCommandAsync(SqlStatement statement, IReadOnlyList<object?> parameters, CancellationToken cancellation)
    {
        switch (statement.Command)
        {
            case SqlCommand.Nothing nothing:
                return Done(nothing.Tag);
            case SqlCommand.Begin:
                return await BeginAsync(cancellation);
            case SqlCommand.End end:
                return await EndAsync(end, cancellation);
            case SqlCommand.Set set:
                await ChangeSettingsAsync(() => Settings.Set(set.Name, set.Value, set.Local), cancellation);
                return Done("SET");
            case SqlCommand.Reset reset:
                await ChangeSettingsAsync(reset.Name is null ? Settings.ResetAll : () => Settings.Set(reset.Name, null, local: false), cancellation);
                return Done("RESET");
            case SqlCommand.Show show:
                return Show(show.Name);
            case SqlCommand.CreateTemp create:
                return await CreateTempAsync(create, statement, parameters, cancellation);
            case SqlCommand.DropTemp drop:
                return await DropTempAsync(drop, cancellation);
            case SqlCommand.Prepare prepare:
                Keep(prepare.Name, await PrepareNamedAsync(prepare, cancellation));
                return Done("PREPARE");
            case SqlCommand.Execute execute:
                return await ExecuteNamedAsync(execute, cancellation);
            case SqlCommand.Deallocate deallocate:
                return await DeallocateAsync(deallocate.Name);
            case SqlCommand.Declare declare:
                return await DeclareAsync(declare, statement, parameters, cancellation);
            case SqlCommand.Fetch fetch:
                return await FetchAsync(fetch, cancellation);
            case SqlCommand.Close close:
                return await CloseAsync(close.Name);
            case SqlCommand.Discard discard:
                return await DiscardAsync(discard.What, cancellation);
            default:
                throw new InvalidOperationException($"no way to run {statement.Command.GetType().Name}");
        }
    }

    private SqlResult Done(string tag, string? notice = null) => new(this, tag, null, null) { Notice = notice };

    private async Task<SqlResult> BeginAsync(CancellationToken cancellation)
    {
        if (Transaction != TransactionState.Idle)
            return Done("BEGIN", "there is already a transaction in progress");
        using var clock = NewClock();
        await CallAsync(clock, null, () => Connection.Execute("BEGIN TRANSACTION"), cancellation);
        Transaction = TransactionState.Open;
        _pins = new SnapshotPins(_engine.Lake);
        Settings.BeginTransaction();
        return Done("BEGIN");
    }

    private async Task<SqlResult> EndAsync(SqlCommand.End end, CancellationToken cancellation)
    {
        if (Transaction == TransactionState.Idle)
            return Done(end.Commit ? "COMMIT" : "ROLLBACK", "there is no transaction in progress");
        var commit = end.Commit && Transaction == TransactionState.Open;
        foreach (var name in _cursors.Where(c => !(commit && c.Value.Hold)).Select(c => c.Key).ToArray())
            await CloseAsync(name);
        using var clock = NewClock();
        await CallAsync(
            clock, null,
            () =>
            {
                if (!commit)
                    _binder.ForgetViews();
                Connection.Execute(commit ? "COMMIT" : "ROLLBACK");
                if (!commit)
                    ReadTemporaryTables();
                Settings.EndTransaction(commit);
                return 0;
            },
            cancellation);
        Transaction = TransactionState.Idle;
        _pins = null;
        if (end.Chain)
            await BeginAsync(cancellation);
        return Done(commit ? "COMMIT" : "ROLLBACK");
    }

    private SqlResult Show(string? name)
    {
        if (name is not null)
        {
            var (columns, rows) = MemoryRows.Texts([name], [[Settings.Show(name)]]);
            return new SqlResult(this, "SHOW", columns, rows);
        }
        var (all, values) = MemoryRows.Texts(ShowAllColumns, Settings.All.Select(s => new string?[] { s.Key, s.Value, "" }).ToArray());
        return new SqlResult(this, "SHOW", all, values);
    }

    /// <summary>On the engine's thread: some settings are DuckDB's too.</summary>
    private async Task ChangeSettingsAsync(Action change, CancellationToken cancellation)
    {
        using var clock = NewClock();
        await CallAsync(
            clock, null,
            () =>
            {
                change();
                return 0;
            },
            cancellation);
    }

    private void OnSettingChanging(string name, string value)
    {
        // DuckDB computes with the zone, e.g. in date_trunc of a timestamp with time zone.
        if (name.Equals("TimeZone", StringComparison.OrdinalIgnoreCase) && Settings["TimeZone"] != value)
            Connection.Execute($"SET SESSION TimeZone = {DuckDbSql.Literal(value)}");
    }

    private async Task<SqlResult> CreateTempAsync(
        SqlCommand.CreateTemp create, SqlStatement statement, IReadOnlyList<object?> parameters, CancellationToken cancellation)
    {
        using var clock = NewClock();
        var record = _engine.History.Begin(Options.User, Settings["application_name"], statement.Sql);
        try
        {
            var count = await CallAsync(
                clock, null,
                () =>
                {
                    using var result = statement.Plan!.Start(parameters);
                    var rows = result.RowsChanged;
                    while (result.Next() is { } batch)
                    {
                        // DuckDB tells the count as a row.
                        if (batch.RowCount == 1 && batch[0].Type.Kind == TypeKind.Int64)
                            rows = batch[0].Values<long>()[0];
                        batch.Dispose();
                    }
                    _binder.TemporaryTables.Add(create.Name);
                    return rows;
                },
                cancellation);
            _engine.History.End(record, clock.Used, count, null);
            return new SqlResult(this, "SELECT", null, null) { Counted = count };
        }
        catch (SqlException error)
        {
            _engine.History.End(record, clock.Used, 0, error.Message);
            throw;
        }
    }

    private async Task<SqlResult> DropTempAsync(SqlCommand.DropTemp drop, CancellationToken cancellation)
    {
        if (!_binder.TemporaryTables.Contains(drop.Name))
        {
            if (drop.IfExists)
                return Done("DROP TABLE", $"table \"{drop.Name}\" does not exist, skipping");
            throw new SqlException(
                $"temporary table \"{drop.Name}\" does not exist", SqlStates.UndefinedTable, hint: "tables of the lake are dropped by `./millrace table drop`");
        }
        using var clock = NewClock();
        await CallAsync(clock, null, () => Connection.Execute($"DROP TABLE temp.{DuckDbSql.Identifier(drop.Name)}"), cancellation);
        _binder.TemporaryTables.Remove(drop.Name);
        return Done("DROP TABLE");
    }

    private void ReadTemporaryTables()
    {
        _binder.TemporaryTables.Clear();
        using var result = Connection.Query("SELECT table_name FROM duckdb_tables() WHERE temporary");
        using var rows = result.ReadAll();
        for (var row = 0; row < rows.RowCount; row++)
            _binder.TemporaryTables.Add(System.Text.Encoding.UTF8.GetString(rows[0].GetBytes(row)));
    }

    private async Task<SqlStatement> PrepareNamedAsync(SqlCommand.Prepare prepare, CancellationToken cancellation)
    {
        try
        {
            return await PrepareAsync(prepare.Sql, prepare.Types.Select(TypeNamed).ToArray(), cancellation);
        }
        catch (SqlException error) when (error.Position is { } at)
        {
            throw error.At(at + prepare.Start);
        }
    }

    private PostgresType? TypeNamed(string name)
    {
        if (Names.Resolve("regtype", name.ToLowerInvariant()) is { } oid && PostgresTypes.Find((int)oid) is { } type)
            return type;
        throw new SqlException($"type \"{name}\" does not exist", SqlStates.UndefinedObject);
    }

    private async Task<SqlResult> ExecuteNamedAsync(SqlCommand.Execute execute, CancellationToken cancellation)
    {
        var statement = FindPrepared(execute.Name);
        var values = new List<object?>();
        if (execute.Arguments.Length > 0)
        {
            // The arguments are expressions: a row of them as text says what they are.
            await using var result = await ExecuteAsync($"SELECT UNNEST([{string.Join(", ", SplitArguments(execute.Arguments).Select(a => $"({a})::VARCHAR"))}])", null, cancellation);
            while (await result.NextAsync(cancellation) is { } batch)
            {
                for (var row = 0; row < batch.RowCount; row++)
                    values.Add(batch[0].IsNull(row) ? null : System.Text.Encoding.UTF8.GetString(batch[0].GetBytes(row)));
                batch.Dispose();
            }
        }
        if (values.Count != statement.ParameterCount)
        {
            throw new SqlException(
                $"wrong number of parameters for prepared statement \"{execute.Name}\"", SqlStates.SyntaxError,
                detail: $"Expected {statement.ParameterCount} parameters but got {values.Count}.");
        }
        var typed = values.Select((v, i) => v is string text
            ? ParameterReader.Read(statement.ParameterTypes[i].Oid, false, System.Text.Encoding.UTF8.GetBytes(text), i + 1)
            : null).ToArray();
        return await ExecuteAsync(statement, typed, ownsStatement: false, cancellation);
    }

    private static List<string> SplitArguments(string text)
    {
        var parts = new List<string>();
        var (depth, from) = (0, 0);
        foreach (var token in SqlTokenizer.Tokenize(text))
        {
            if (token.Kind != SqlTokenKind.Punctuation)
                continue;
            switch (text[token.Start])
            {
                case '(' or '[' or '{':
                    depth++;
                    break;
                case ')' or ']' or '}':
                    depth--;
                    break;
                case ',' when depth == 0:
                    parts.Add(text[from..token.Start]);
                    from = token.End;
                    break;
            }
        }
        parts.Add(text[from..]);
        return parts;
    }

    private SqlStatement FindPrepared(string name) => _prepared.TryGetValue(name, out var statement)
        ? statement
        : throw new SqlException($"prepared statement \"{name}\" does not exist", SqlStates.InvalidStatementName);

    private async Task<SqlResult> DeallocateAsync(string? name)
    {
        if (name is null)
        {
            foreach (var kept in _prepared.Keys.ToArray())
                await DropAsync(kept);
            return Done("DEALLOCATE ALL");
        }
        FindPrepared(name);
        await DropAsync(name);
        return Done("DEALLOCATE");
    }

    private Cursor FindCursor(string name) => _cursors.TryGetValue(name, out var cursor)
        ? cursor
        : throw new SqlException($"cursor \"{name}\" does not exist", SqlStates.InvalidCursorName);

    private async Task<SqlResult> DeclareAsync(
        SqlCommand.Declare declare, SqlStatement statement, IReadOnlyList<object?> parameters, CancellationToken cancellation)
    {
        if (Transaction == TransactionState.Idle && !declare.Hold)
            throw new SqlException("DECLARE CURSOR can only be used in transaction blocks", SqlStates.NoActiveTransaction, hint: "BEGIN first, or declare it WITH HOLD");
        if (_cursors.ContainsKey(declare.Name))
            throw new SqlException($"cursor \"{declare.Name}\" already exists", SqlStates.DuplicateCursor);
        if (_cursors.Count >= _engine.Options.MaxPrepared)
            throw new SqlException($"the session holds MaxPrepared ({_engine.Options.MaxPrepared}) cursors", SqlStates.LimitExceeded);
        _cursors.Add(declare.Name, new Cursor(await StartAsync(statement, parameters, statement, null, cancellation), declare.Hold));
        return Done("DECLARE CURSOR");
    }

    private async Task<SqlResult> FetchAsync(SqlCommand.Fetch fetch, CancellationToken cancellation)
    {
        var cursor = FindCursor(fetch.Name);
        if (!fetch.Move)
            return new SqlResult(this, "FETCH", cursor.Result.Columns, new CursorRows(cursor, fetch.Count ?? long.MaxValue));
        var rows = new CursorRows(cursor, fetch.Count ?? long.MaxValue);
        long moved = 0;
        while (await rows.NextAsync(cancellation) is { } batch)
        {
            moved += batch.RowCount;
            batch.Dispose();
        }
        return new SqlResult(this, "MOVE", null, null) { Counted = moved };
    }

    private async Task<SqlResult> CloseAsync(string? name)
    {
        foreach (var key in name is null ? _cursors.Keys.ToArray() : [name])
        {
            var cursor = FindCursor(key);
            _cursors.Remove(key);
            await cursor.DisposeAsync();
        }
        return Done(name is null ? "CLOSE CURSOR ALL" : "CLOSE CURSOR");
    }

    private async Task<SqlResult> DiscardAsync(string what, CancellationToken cancellation)
    {
        if (what is "ALL")
        {
            if (Transaction != TransactionState.Idle)
                throw new SqlException("DISCARD ALL cannot run inside a transaction block", SqlStates.ActiveTransaction);
            await CloseAsync(null);
            await DeallocateAsync(null);
            await ChangeSettingsAsync(Settings.ResetAll, cancellation);
        }
        else if (what is not ("PLANS" or "SEQUENCES" or "TEMP" or "TEMPORARY"))
        {
            throw new SqlException($"syntax error at or near \"{what}\"", SqlStates.SyntaxError);
        }
        if (what is "ALL" or "TEMP" or "TEMPORARY")
        {
            foreach (var table in _binder.TemporaryTables.ToArray())
                await DropTempAsync(new SqlCommand.DropTemp(table, true), cancellation);
        }
        return Done(string.Create(CultureInfo.InvariantCulture, $"DISCARD {what}"));
    }

    private async Task CloseAllAsync()
    {
        foreach (var cursor in _cursors.Values)
            await cursor.DisposeAsync();
        _cursors.Clear();
        foreach (var name in _prepared.Keys.ToArray())
            await DropAsync(name);
        _streaming?.Detach();
    }

    /// <summary>An open result that is read piece by piece.</summary>
    private sealed class Cursor(SqlResult result, bool hold) : IAsyncDisposable
    {
        private ColumnBatch? _batch;
        private int _row;

        public SqlResult Result { get; } = result;

        public bool Hold { get; } = hold;

        /// <summary>At most <paramref name="most"/> rows, or null at the end.</summary>
        public async ValueTask<ColumnBatch?> TakeAsync(long most, CancellationToken cancellation)
        {
            while (_batch is null || _row == _batch.RowCount)
            {
                _batch?.Dispose();
                _batch = await Result.NextAsync(cancellation);
                _row = 0;
                if (_batch is null)
                    return null;
            }
            var count = (int)Math.Min(most, _batch.RowCount - _row);
            var slice = _batch.Slice(_row, count);
            _row += count;
            return slice;
        }

        public async ValueTask DisposeAsync()
        {
            _batch?.Dispose();
            _batch = null;
            await Result.DisposeAsync();
        }
    }

    private sealed class CursorRows(Cursor cursor, long count) : RowSource
    {
        private long _left = count;

        public override async ValueTask<ColumnBatch?> NextAsync(CancellationToken cancellation)
        {
            if (_left == 0)
                return null;
            var batch = await cursor.TakeAsync(_left, cancellation);
            _left = batch is null ? 0 : _left - batch.RowCount;
            return batch;
        }

        public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
