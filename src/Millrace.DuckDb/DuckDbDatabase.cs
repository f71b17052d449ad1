using System.Globalization;
using System.Runtime.InteropServices;
using Millrace.DuckDb.Native;
using Millrace.DuckDb.Scanning;

namespace Millrace.DuckDb;

/// <summary>An open DuckDB database: a file, or memory alone. Thread-safe; its connections are not.</summary>
public sealed unsafe class DuckDbDatabase : IDisposable
{
    private readonly DatabaseHandle _handle;

    private DuckDbDatabase(DatabaseHandle handle) => _handle = handle;

    /// <summary>The library's version, e.g. <c>v1.5.5</c>.</summary>
    public static string Version => Text.Read(NativeMethods.duckdb_library_version()) ?? "";

    /// <summary>The batches that this database's scans can see.</summary>
    internal BatchRegistry Batches { get; } = new();

    /// <summary>Opens the file, creating it when absent, or a database in memory for null.</summary>
    /// <exception cref="DuckDbException">The file is no database, is locked by another process, or a setting is refused.</exception>
    /// <exception cref="DllNotFoundException">libduckdb is not to be found.</exception>
    public static DuckDbDatabase Open(string? path = null, DuckDbOptions? options = null)
    {
        options ??= new DuckDbOptions();
        if (NativeMethods.duckdb_create_config(out var config) != NativeState.Success)
            throw new DuckDbException("duckdb_create_config failed", DuckDbErrorType.OutOfMemory);
        DatabaseHandle handle;
        try
        {
            foreach (var (name, value) in SettingsOf(options))
            {
                if (NativeMethods.duckdb_set_config(config, name, value) != NativeState.Success)
                    throw new DuckDbException($"DuckDB has no setting {name} that takes '{value}'", DuckDbErrorType.Settings);
            }
            if (NativeMethods.duckdb_open_ext(path, out var database, config, out var error) != NativeState.Success)
            {
                var message = Text.Read(error) ?? "cannot open";
                NativeMethods.duckdb_free(error);
                throw DuckDbException.Parse(message, DuckDbErrorType.Invalid, null);
            }
            handle = new DatabaseHandle(database);
        }
        finally
        {
            NativeMethods.duckdb_destroy_config(ref config);
        }
        var opened = new DuckDbDatabase(handle);
        try
        {
            opened.Prepare(options);
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    /// <summary>A new session on the database. It may outlive this object.</summary>
    public DuckDbConnection Connect()
    {
        if (NativeMethods.duckdb_connect(_handle, out var connection) != NativeState.Success)
            throw new DuckDbException("cannot connect to the database", DuckDbErrorType.Connection);
        return new DuckDbConnection(new ConnectionHandle(connection, _handle), Batches);
    }

    public void Dispose() => _handle.Dispose();

    private static Dictionary<string, string> SettingsOf(DuckDbOptions options)
    {
        var settings = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
        {
            ["memory_limit"] = Bytes(options.MemoryLimit),
            ["threads"] = options.Threads.ToString(CultureInfo.InvariantCulture),
            ["max_temp_directory_size"] = Bytes(options.MaxTempDirectorySize),
            ["temp_directory"] = options.TempDirectory ?? "",
            ["access_mode"] = options.ReadOnly ? "READ_ONLY" : "AUTOMATIC",
            ["autoinstall_known_extensions"] = "false",
            ["autoload_known_extensions"] = "false",
            ["allow_unsigned_extensions"] = "false",
            ["errors_as_json"] = "true",
        };
        foreach (var (name, value) in options.Settings)
            settings[name] = value;
        return settings;
    }

    private static string Bytes(long bytes) => bytes.ToString(CultureInfo.InvariantCulture) + "B";

    private void Prepare(DuckDbOptions options)
    {
        using var connection = Connect();
        BatchScan.Register(connection.Handle, Batches);
        connection.Execute("SET GLOBAL TimeZone = 'UTC'");
        if (options.AllowedDirectories.Count > 0)
        {
            var folders = options.AllowedDirectories.Select(folder => DuckDbSql.Literal(folder));
            connection.Execute($"SET allowed_directories = [{string.Join(", ", folders)}]");
        }
        if (!options.EnableExternalAccess)
            connection.Execute("SET enable_external_access = false");
        if (options.LockConfiguration)
            connection.Execute("SET lock_configuration = true");
    }
}
