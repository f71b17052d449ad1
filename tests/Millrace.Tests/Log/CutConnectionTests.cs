using System.Net;
using System.Net.Sockets;
using Millrace.Kafka.Messages;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>Connections that are cut in the middle of frames: requests that were half sent are lost, answers are not heard, clients send again.</summary>
public sealed class CutConnectionTests(ITestOutputHelper output)
{
    private const int Batches = 200;
    private const int InFlight = 4;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_goes_while_its_request_waits_is_noticed_long_before_the_wait_ends(bool pipelined)
    {
        await using var test = await TestBroker.StartAsync(o => o with { MaintenanceInterval = TimeSpan.FromMilliseconds(20) });
        test.Broker.CreateTopic("t", 1);
        using var stays = test.Connect();
        var waiting = stays.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 0, 20_000, 1, 1000));
        using (var goes = test.Connect())
        {
            goes.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 0, int.MaxValue, 1, 1000));
            if (pipelined)
                goes.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 0, int.MaxValue, 1, 1000));
            await Until(() => test.Broker.Metrics.Connections == 2);
        }
        await Until(() => test.Broker.Metrics.Connections == 1);
        using var producer = test.Connect();
        producer.Produce("t", 0, WireClient.Batch("x"));
        Assert.Equal(["x"], WireClient.Values(stays.Receive<FetchResponse>(ApiKey.Fetch, 11, waiting).Responses[0].Partitions[0].Records));
    }

    [Fact]
    public async Task A_connection_beyond_the_limit_is_closed_and_one_that_ends_makes_room()
    {
        await using var test = await TestBroker.StartAsync(o => o with { MaxConnections = 1 });
        static int Versions(WireClient client) => client.Call<ApiVersionsRequest, ApiVersionsResponse>(ApiKey.ApiVersions, 3, new ApiVersionsRequest()).ApiKeys.Count;
        using (var first = test.Connect())
        {
            Assert.NotEqual(0, Versions(first));
            using var more = test.Connect();
            Assert.Null(more.ReceiveFrame());
            await test.Line("1 are open (MaxConnections)");
            Assert.NotEqual(0, Versions(first));
        }
        await Until(() => test.Broker.Metrics.Connections == 0);
        using var again = test.Connect();
        Assert.NotEqual(0, Versions(again));
    }

    private static async Task Until(Func<bool> isSo)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (!isSo())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(30), "it did not come to be");
            await Task.Delay(5);
        }
    }

    [Fact]
    public async Task Records_are_there_once_and_in_order_however_often_the_connection_is_cut()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        await using var proxy = new CuttingProxy(test.Broker.Endpoint, new Random(Seeds.Next(output)));
        await Task.WhenAll(Enumerable.Range(0, 3).Select(producer => Task.Run(() => Produce(proxy.Endpoint, producer))));
        using var direct = test.Connect();
        var read = direct.Committed("t", 0);
        for (var producer = 0; producer < 3; producer++)
        {
            var prefix = $"{producer}-";
            Assert.Equal(
                Enumerable.Range(0, Batches * 2).Select(i => prefix + i),
                read.Where(v => v.StartsWith(prefix, StringComparison.Ordinal)));
        }
        Assert.True(proxy.Cuts > 5, $"{proxy.Cuts} cuts");
        Assert.DoesNotContain(test.Lines, l => l.Contains("A fault of the broker", StringComparison.Ordinal));
    }

    /// <summary>An idempotent producer with several requests on their way; what it has no answer to is sent again in order.</summary>
    private static void Produce(IPEndPoint endpoint, int producer)
    {
        var acknowledged = 0;
        var tries = 0;
        while (acknowledged < Batches)
        {
            Assert.True(tries++ < 5_000, "nothing goes through");
            try
            {
                using var client = new WireClient(endpoint);
                var sent = acknowledged;
                var waiting = new Queue<int>();
                while (acknowledged < Batches)
                {
                    for (; sent < Batches && waiting.Count < InFlight; sent++)
                    {
                        var batch = WireClient.Batch(900 + producer, 0, sent * 2, $"{producer}-{sent * 2}", $"{producer}-{(sent * 2) + 1}");
                        waiting.Enqueue(client.Send(ApiKey.Produce, 9, WireClient.Request("t", 0, batch, -1)));
                    }
                    var answer = client.Receive<ProduceResponse>(ApiKey.Produce, 9, waiting.Dequeue());
                    Assert.Equal(ErrorCode.None, answer.Responses[0].PartitionResponses[0].ErrorCode);
                    acknowledged++;
                }
            }
            catch (SocketException)
            {
                // Cut: again.
            }
            catch (IOException)
            {
                // Cut: again.
            }
        }
    }
}

/// <summary>Passes bytes on between a client and a server, and cuts each connection after so many bytes of either direction.</summary>
internal sealed class CuttingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly IPEndPoint _server;
    private readonly Random _random;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;
    private int _cuts;

    public CuttingProxy(IPEndPoint server, Random random)
    {
        _server = server;
        _random = random;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public IPEndPoint Endpoint => (IPEndPoint)_listener.LocalEndpoint;

    public int Cuts => _cuts;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stop.Token);
                // Mostly inside a frame, sometimes never.
                connections.Add(RelayAsync(client, _random.Next(100, 6_000), _random.Next(20, 3_000)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task RelayAsync(Socket client, int up, int down)
    {
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp);
        using (client)
        {
            await server.ConnectAsync(_server);
            await Task.WhenAny(PassAsync(client, server, up), PassAsync(server, client, down));
            Interlocked.Increment(ref _cuts);
        }
    }

    private async Task PassAsync(Socket from, Socket to, int bytes)
    {
        var buffer = new byte[4096];
        try
        {
            while (bytes > 0)
            {
                var read = await from.ReceiveAsync(buffer.AsMemory(0, Math.Min(buffer.Length, bytes)), _stop.Token);
                if (read == 0)
                    return;
                for (var at = 0; at < read;)
                    at += await to.SendAsync(buffer.AsMemory(at, read - at), _stop.Token);
                bytes -= read;
            }
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // One side is gone.
        }
    }
}
