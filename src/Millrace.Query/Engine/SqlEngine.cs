using Microsoft.Extensions.Logging;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Query.Engine;
using Millrace.Query.PgCatalog;
using Millrace.Query.Text;

namespace Millrace.Query;

/// <summary>
/// Runs SQL over the lake's tables and the live state, in DuckDB, under caps. Every statement sees each table at one snapshot. Statements
/// can read; they reach no file, network or setting of the engine. Thread-safe; a session takes one call at a time.
/// </summary>
public sealed partial class SqlEngine : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, SqlSession> _sessions = [];
    private readonly DuckDbConnection _administration;
    private readonly ILogger _logger;
    private int _lastSession;
    private bool _isDisposed;

    private SqlEngine(QueryOptions options, ILakeTables lake, ILiveTables live, TimeProvider time, ILoggerFactory loggers)
    {
        Options = options;
        Lake = lake;
        Live = live;
        Time = time;
        _logger = loggers.CreateLogger<SqlEngine>();
        Directory.CreateDirectory(options.TempFolder);
        Slots = new SemaphoreSlim(options.MaxConcurrent, options.MaxConcurrent);
        History = new QueryHistory(options.HistoryLength, time);
        Database = DuckDbDatabase.Open(null, new DuckDbOptions
        {
            MemoryLimit = options.MemoryLimit,
            Threads = options.Threads,
            TempDirectory = Path.GetFullPath(options.TempFolder),
            MaxTempDirectorySize = options.MaxTempBytes,
            EnableExternalAccess = false,
            AllowedDirectories = lake.Folders,
        });
        _administration = Database.Connect();
        Syntax = new SyntaxReader(Database);
        Catalog = new SystemCatalog(Database, options.Database, lake, live);
    }

    public QueryOptions Options { get; }

    /// <summary>The newest statements of all sessions.</summary>
    public QueryHistory History { get; }

    /// <summary>Open sessions.</summary>
    public int SessionCount
    {
        get
        {
            lock (_lock)
                return _sessions.Count;
        }
    }

    internal DuckDbDatabase Database { get; }

    internal ILakeTables Lake { get; }

    internal ILiveTables Live { get; }

    internal TimeProvider Time { get; }

    internal SemaphoreSlim Slots { get; }

    internal SyntaxReader Syntax { get; }

    internal SystemCatalog Catalog { get; }

    /// <summary>Starts an engine. Threads and memory are taken as statements need them.</summary>
    /// <param name="options">The caps.</param>
    /// <param name="catalog">Whose tables are read.</param>
    /// <param name="live">The running pipelines' state.</param>
    /// <param name="time">The clock of timeouts and of the history.</param>
    /// <param name="loggers">Where to log.</param>
    /// <exception cref="DllNotFoundException">libduckdb is not to be found.</exception>
    public static SqlEngine Create(QueryOptions options, FolderCatalog catalog, ILiveTables live, TimeProvider time, ILoggerFactory loggers) =>
        Create(options, new CatalogTables(catalog), live, time, loggers);

    internal static SqlEngine Create(QueryOptions options, ILakeTables lake, ILiveTables live, TimeProvider time, ILoggerFactory loggers) =>
        new(options, lake, live, time, loggers);

    /// <summary>The statements of a text, cut at its semicolons, with the 0-based character at which each begins.</summary>
    public static IReadOnlyList<(string Sql, int Start)> Split(string text) => SqlScript.Split(text).Select(p => (p.Text, p.Start)).ToArray();

    /// <exception cref="SqlException">There are MaxSessions open.</exception>
    public SqlSession OpenSession(SqlSessionOptions? options = null)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (_sessions.Count >= Options.MaxSessions)
                throw new SqlException($"sorry, too many clients already: MaxSessions is {Options.MaxSessions}", SqlStates.TooManyConnections);
            options ??= new SqlSessionOptions();
            var session = new SqlSession(this, ++_lastSession, options);
            session.Settings.Start("application_name", options.Application);
            session.Settings.Start("session_authorization", options.User);
            _sessions.Add(session.Id, session);
            return session;
        }
    }

    /// <summary>Runs one statement in a session.</summary>
    /// <exception cref="SqlException">It was refused or failed.</exception>
    public Task<SqlResult> ExecuteAsync(
        SqlSession session, string sql, IReadOnlyList<object?>? parameters = null, CancellationToken cancellation = default) =>
        session.ExecuteAsync(sql, parameters, cancellation);

    public async ValueTask DisposeAsync()
    {
        SqlSession[] sessions;
        lock (_lock)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            sessions = [.. _sessions.Values];
        }
        foreach (var session in sessions)
            await session.DisposeAsync();
        Syntax.Dispose();
        Catalog.Dispose();
        _administration.Dispose();
        Database.Dispose();
        Slots.Dispose();
    }

    /// <summary>Called by a session that has given up its connection: its database goes too.</summary>
    internal void Close(SqlSession session, string database)
    {
        lock (_lock)
        {
            if (!_sessions.Remove(session.Id))
                return;
            try
            {
                _administration.Execute($"DETACH {database}");
            }
            catch (DuckDbException error)
            {
                // Some bytes of memory stay behind; statements go on.
                DetachFailed(database, error.Message);
            }
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "The database {Name} of a closed session stays attached: {Reason}")]
    private partial void DetachFailed(string name, string reason);
}
