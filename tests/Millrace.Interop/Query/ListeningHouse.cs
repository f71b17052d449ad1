using Millrace.Query;
using Millrace.Query.Wire;
using Millrace.Tests;

namespace Millrace.Interop.Query;

/// <summary>One warehouse behind a PostgreSQL port, for the tests of a class.</summary>
public sealed class ListeningHouse : IAsyncLifetime
{
    private PostgresServer _server = null!;

    internal QueryHouse House { get; } = QueryHouse.WithTables(new QueryOptions { StatementTimeout = TimeSpan.FromSeconds(60) });

    public int Port => _server.EndPoint.Port;

    public async Task InitializeAsync() => _server = await House.ListenAsync();

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        await House.DisposeAsync();
    }
}
