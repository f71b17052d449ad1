using System.Net;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Query;
using Millrace.Query.Wire;
using Xunit.Abstractions;

namespace Millrace.Tests.Query;

/// <summary>A port for all tests of the class; each waits until the clients of the one before are gone.</summary>
public sealed class WireHouse : IAsyncLifetime
{
    internal QueryHouse House { get; } = QueryHouse.WithTables();

    internal PostgresServer Server { get; private set; } = null!;

    public async Task InitializeAsync() => Server = await House.ListenAsync(new PostgresOptions { MaxConnections = 3, MaxMessageBytes = 100_000 });

    public async Task DisposeAsync()
    {
        await Server.DisposeAsync();
        await House.DisposeAsync();
    }
}

public sealed class PostgresWireTests(WireHouse wire, ITestOutputHelper output) : IClassFixture<WireHouse>, IAsyncLifetime
{
    private const string Endless = "SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 3";

    private readonly QueryHouse _house = wire.House;
    private readonly PostgresServer _server = wire.Server;

    private int Port => _server.EndPoint.Port;

    public Task InitializeAsync() => UntilAsync(() => _server.ConnectionCount == 0);

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public async Task Encryption_is_refused_by_N_and_the_connection_goes_on()
    {
        using var client = RawClient.Raw(Port);
        await client.SendAsync([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]);
        Assert.Equal('N', await client.ReadByteAsync());
        await client.SendAsync([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30]);
        Assert.Equal('N', await client.ReadByteAsync());
        await client.SendAsync(RawClient.Startup(("user", "x")));
        Assert.StartsWith("RS", await client.AnswersAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_settings_that_clients_rely_on_are_told()
    {
        using var client = await RawClient.OpenAsync(Port);
        Assert.Equal("UTF8", client.Settings["client_encoding"]);
        Assert.Equal("on", client.Settings["integer_datetimes"]);
        Assert.Equal("on", client.Settings["standard_conforming_strings"]);
        Assert.StartsWith("15.0", client.Settings["server_version"], StringComparison.Ordinal);
        await client.SendAsync(RawClient.Query("SET TimeZone = 'Asia/Tokyo'"));
        Assert.Equal("SC(SET)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task A_simple_query_of_several_statements_answers_each()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(RawClient.Query("SELECT 1; SELECT * FROM range(2); ; SET application_name = 'x'"));
        Assert.Equal("TDC(SELECT 1)TDDC(SELECT 2)SC(SET)ZI", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query(" ; -- nothing"));
        Assert.Equal("IZI", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query("SELECT 1; SELECT nope; SELECT 3"));
        Assert.Equal("TDC(SELECT 1)E(42703)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task After_an_error_messages_are_passed_over_until_sync()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(
            RawClient.Parse("", "SELECT nope"), RawClient.Bind("", ""), RawClient.Execute("", 0), RawClient.Parse("kept", "SELECT 1"), RawClient.Sync());
        Assert.Equal("E(42703)ZI", await client.AnswersAsync());
        await client.SendAsync(RawClient.Bind("", "kept"), RawClient.Sync());
        Assert.Equal("E(26000)ZI", await client.AnswersAsync());
        await client.SendAsync(RawClient.Parse("", "SELECT 1"), RawClient.Bind("", ""), RawClient.Execute("", 0), RawClient.Sync());
        Assert.Equal("12DC(SELECT 1)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task A_row_limit_suspends_a_portal_and_the_next_execute_goes_on()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(
            RawClient.Parse("", "SELECT i FROM range(5) t(i)"), RawClient.Bind("p", ""), RawClient.Execute("p", 2), RawClient.Execute("p", 2), RawClient.Execute("p", 2), RawClient.Sync());
        Assert.Equal("12DDsDDsDC(SELECT 5)ZI", await client.AnswersAsync());
        // Outside a transaction a portal ends with Sync.
        await client.SendAsync(RawClient.Execute("p", 0), RawClient.Sync());
        Assert.Equal("E(34000)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task Portals_of_a_transaction_are_read_in_turns()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(RawClient.Query("BEGIN"));
        Assert.Equal("C(BEGIN)ZT", await client.AnswersAsync());
        await client.SendAsync(
            RawClient.Parse("s", "SELECT i FROM range(3) t(i)"), RawClient.Bind("a", "s"), RawClient.Bind("b", "s"),
            RawClient.Execute("a", 1), RawClient.Execute("b", 2), RawClient.Sync(), RawClient.Execute("a", 0), RawClient.Execute("b", 0), RawClient.Sync());
        Assert.Equal("122DsDDsZT", await client.AnswersAsync());
        Assert.Equal("DDC(SELECT 3)DC(SELECT 3)ZT", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query("SELECT nope"));
        Assert.Equal("E(42703)ZE", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query("SELECT 1"));
        Assert.Equal("E(25P02)ZE", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query("ROLLBACK"));
        Assert.Equal("C(ROLLBACK)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task Describe_tells_parameters_and_columns()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(
            RawClient.Parse("s", "SELECT id, country FROM sales.orders WHERE amount > $1 AND placed < $2"), RawClient.Message('D', "Ss\0"u8),
            RawClient.Parse("n", "SET application_name = 'y'"), RawClient.Message('D', "Sn\0"u8), RawClient.Message('C', "Sn\0"u8), RawClient.Sync());
        Assert.Equal('1', (await client.ReadAsync())!.Value.Tag);
        Assert.Equal([0, 2, .. Oid(1700), .. Oid(1184)], (await client.ReadAsync())!.Value.Body);
        var (tag, body) = (await client.ReadAsync())!.Value;
        Assert.Equal('T', tag);
        Assert.Equal([0, 2], body[..2]);
        Assert.Equal("id", Encoding.UTF8.GetString(body, 2, 2));
        Assert.Equal("1tn3ZI", await client.AnswersAsync());

        static byte[] Oid(int oid) => [(byte)(oid >> 24), (byte)(oid >> 16), (byte)(oid >> 8), (byte)oid];
    }

    [Fact]
    public async Task Copy_sends_the_rows_as_lines()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(RawClient.Query("COPY (SELECT 'a\tb', NULL, 3) TO STDOUT"));
        Assert.Equal('H', (await client.ReadAsync())!.Value.Tag);
        Assert.Equal("a\\tb\t\\N\t3\n", Encoding.UTF8.GetString((await client.ReadAsync())!.Value.Body));
        Assert.Equal("cC(COPY 1)ZI", await client.AnswersAsync());
        await client.SendAsync(RawClient.Query("COPY (SELECT 'x,\"y', '', NULL) TO STDOUT (FORMAT csv, HEADER, NULL 'nil')"));
        Assert.Equal('H', (await client.ReadAsync())!.Value.Tag);
        await client.ReadAsync();
        Assert.Equal("\"x,\"\"y\",,nil\n", Encoding.UTF8.GetString((await client.ReadAsync())!.Value.Body));
        Assert.Equal("cC(COPY 1)ZI", await client.AnswersAsync());
    }

    [Fact]
    public async Task A_cancel_request_needs_the_secret()
    {
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(RawClient.Query(Endless));
        while (_house.Engine.History.Newest(1) is not [{ State: QueryState.Running }])
            await Task.Yield();
        await CancelAsync(client.ProcessId, client.Secret + 1);
        Assert.Equal(QueryState.Running, _house.Engine.History.Newest(1)[0].State);
        await CancelAsync(client.ProcessId, client.Secret);
        Assert.EndsWith("E(57014)ZI", await client.AnswersAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_goes_away_stops_its_statement()
    {
        using (var client = await RawClient.OpenAsync(Port))
        {
            await client.SendAsync(RawClient.Query(Endless));
            while (_house.Engine.History.Newest(1) is not [{ State: QueryState.Running }])
                await Task.Yield();
        }
        await UntilAsync(() => _house.Engine.SessionCount == 0);
        Assert.Equal(QueryState.Failed, _house.Engine.History.Newest(1)[0].State);
    }

    [Fact]
    public async Task Too_many_connections_are_refused_with_a_reason()
    {
        using var first = await RawClient.OpenAsync(Port);
        using var second = await RawClient.OpenAsync(Port);
        using var third = await RawClient.OpenAsync(Port);
        using var fourth = RawClient.Raw(Port);
        Assert.Equal("53300", RawClient.Field((await fourth.ReadAsync())!.Value.Body, 'C'));
        Assert.Null(await fourth.ReadAsync());
    }

    [Fact]
    public async Task A_wrong_database_is_told()
    {
        using var client = RawClient.Raw(Port);
        await client.SendAsync(RawClient.Startup(("user", "x"), ("database", "nosuch")));
        var report = (await client.ReadAsync())!.Value.Body;
        Assert.Equal("3D000", RawClient.Field(report, 'C'));
        Assert.Equal("connect to \"millrace\"", RawClient.Field(report, 'H'));
    }

    public static TheoryData<string, byte[]> Hostile() => new()
    {
        { "HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray() },
        { "TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03] },
        { "a huge start-up", [0x7F, 0xFF, 0xFF, 0xFF, 0, 3, 0, 0] },
        { "protocol 2", [0, 0, 0, 8, 0, 2, 0, 0] },
        { "no user", [0, 0, 0, 9, 0, 3, 0, 0, 0] },
        { "no end", [0, 0, 0, 12, 0, 3, 0, 0, 65, 66, 67, 68] },
        { "an unknown option", RawClient.Startup(("user", "x"), ("options", "--nosuch=1")) },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public async Task A_hostile_start_is_answered_by_an_error_and_the_end(string what, byte[] bytes)
    {
        using var client = RawClient.Raw(Port);
        await client.SendAsync(bytes);
        var answer = await client.ReadAsync();
        Assert.True(answer is { Tag: 'E' }, what);
        Assert.Equal("FATAL", RawClient.Field(answer.Value.Body, 'S'));
        Assert.Null(await client.ReadAsync());
        await UntilAsync(() => _server.ConnectionCount == 0);
    }

    public static TheoryData<string, byte[]> HostileLater() => new()
    {
        { "an unknown tag", [(byte)'!', 0, 0, 0, 4] },
        { "a message above MaxMessageBytes", [(byte)'Q', 0, 2, 0, 0] },
        { "a negative length", [(byte)'Q', 0xFF, 0xFF, 0xFF, 0xFF] },
        { "a query without its end", RawClient.Message('Q', "SELECT 1"u8) },
        { "a query with more behind its end", RawClient.Message('Q', "SELECT 1\0x"u8) },
        { "bytes that are not UTF-8", RawClient.Message('Q', [0xC3, 0x28, 0]) },
        { "a bind that promises more", RawClient.Message('B', [0, 0, 0, 0, 0x7F, 0xFF]) },
        { "a password out of turn", RawClient.Message('p', "x\0"u8) },
    };

    [Theory]
    [MemberData(nameof(HostileLater))]
    public async Task A_hostile_message_ends_its_connection_and_no_other(string what, byte[] bytes)
    {
        using var other = await RawClient.OpenAsync(Port);
        using var client = await RawClient.OpenAsync(Port);
        await client.SendAsync(bytes);
        var answer = await client.ReadAsync();
        Assert.True(answer is { Tag: 'E' }, what);
        Assert.Null(await client.ReadAsync());
        await other.SendAsync(RawClient.Query("SELECT 1"));
        Assert.Equal("TDC(SELECT 1)ZI", await other.AnswersAsync());
    }

    [Fact]
    public async Task Random_bytes_never_hurt_the_server()
    {
        var random = new Random(Seeds.Next(output));
        for (var round = 0; round < 30; round++)
        {
            var bytes = new byte[random.Next(1, 200)];
            random.NextBytes(bytes);
            using (var client = random.Next(2) == 0 ? RawClient.Raw(Port) : await RawClient.OpenAsync(Port))
                await client.SendAsync(bytes);
            await UntilAsync(() => _server.ConnectionCount == 0);
        }
        using var good = await RawClient.OpenAsync(Port);
        await good.SendAsync(RawClient.Query("SELECT 1"));
        Assert.Equal("TDC(SELECT 1)ZI", await good.AnswersAsync());
    }

    [Fact]
    public async Task Stopping_the_server_tells_its_clients()
    {
        var server = await _house.ListenAsync();
        using var client = await RawClient.OpenAsync(server.EndPoint.Port);
        await server.DisposeAsync();
        Assert.Equal("57P01", RawClient.Field((await client.ReadAsync())!.Value.Body, 'C'));
        Assert.Null(await client.ReadAsync());
    }

    [Fact]
    public async Task A_port_in_use_and_an_open_door_are_refused_with_advice()
    {
        var error = await Assert.ThrowsAsync<IOException>(() => PostgresServer.StartAsync(
            new PostgresOptions { Port = Port }, _house.Engine, TimeProvider.System, NullLoggerFactory.Instance));
        Assert.Contains($"127.0.0.1:{Port}", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => PostgresServer.StartAsync(
            new PostgresOptions { Port = 0, Address = IPAddress.Any }, _house.Engine, TimeProvider.System, NullLoggerFactory.Instance));
    }

    private async Task CancelAsync(int process, int secret)
    {
        using var cancel = RawClient.Raw(Port);
        await cancel.SendAsync([
            0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, (byte)(process >> 24), (byte)(process >> 16), (byte)(process >> 8), (byte)process,
            (byte)(secret >> 24), (byte)(secret >> 16), (byte)(secret >> 8), (byte)secret,
        ]);
        Assert.Equal(-1, await cancel.ReadByteAsync());
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!condition())
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
