using System.Net;
using System.Net.Sockets;
using System.Text;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;

namespace Millrace.Tests.Coordination;

/// <summary>What etcd answers to plain HTTP on its client port, answered as there; beside it gRPC goes on.</summary>
public sealed class StatusPagesTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-pages-").FullName;
    private CoordinationNode _node = null!;

    public async Task InitializeAsync() =>
        _node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = _folder, ClientPort = 0, PeerPort = -1 });

    public async Task DisposeAsync()
    {
        await _node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("GET", "/health", 200, "{\"health\":\"true\",\"reason\":\"\"}")]
    [InlineData("GET", "/health?serializable=true", 200, "{\"health\":\"true\",\"reason\":\"\"}")]
    [InlineData("GET", "/livez", 200, "ok\n")]
    [InlineData("GET", "/readyz?verbose", 200, "[+]non_learner ok\n[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n")]
    [InlineData("GET", "/version", 200, "{\"etcdserver\":\"3.7.0\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}")]
    [InlineData("GET", "/nothing", 404, "404 page not found\n")]
    [InlineData("POST", "/health", 405, "Method Not Allowed\n")]
    public async Task A_page_is_what_etcd_answers(string method, string path, int status, string body)
    {
        using var client = new CoordinationClient([Address]);
        await client.PutAsync("k", "v", default);
        using var http = new HttpClient();
        using var answer = await http.SendAsync(new HttpRequestMessage(new HttpMethod(method), new Uri(Address, path)));
        Assert.Equal((HttpStatusCode)status, answer.StatusCode);
        Assert.Equal(body, await answer.Content.ReadAsStringAsync());
        Assert.Equal("v", (await client.GetAsync("k", default))!.Text);
    }

    [Fact]
    public async Task Metrics_have_etcds_names_and_the_process_memory()
    {
        using var client = new CoordinationClient([Address]);
        await client.PutAsync("k", "v", default);
        using var http = new HttpClient();
        var lines = (await http.GetStringAsync(new Uri(Address, "/metrics"))).Split('\n');
        Assert.Contains("etcd_server_has_leader 1", lines);
        Assert.Contains(lines, l => l.StartsWith("process_resident_memory_bytes ", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.StartsWith("etcd_debugging_mvcc_current_revision ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_request_may_come_in_pieces_and_one_without_end_is_cut_off()
    {
        using var slow = new TcpClient();
        await slow.ConnectAsync(IPAddress.Loopback, _node.ClientPort);
        var stream = slow.GetStream();
        foreach (var piece in new[] { "G", "ET /vers", "ion HTTP/1.1\r", "\nHost: x\r\n\r", "\n" })
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes(piece));
            await stream.FlushAsync();
        }
        using var reader = new StreamReader(stream);
        Assert.StartsWith("HTTP/1.1 200 OK", await reader.ReadToEndAsync(), StringComparison.Ordinal);
        using var endless = new TcpClient();
        await endless.ConnectAsync(IPAddress.Loopback, _node.ClientPort);
        await endless.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET /" + new string('x', 20_000)));
        var buffer = new byte[1000];
        try
        {
            while (await endless.GetStream().ReadAsync(buffer) > 0)
            {
            }
        }
        catch (IOException)
        {
            // Reset: it had more to say.
        }
    }

    private Uri Address => new($"http://127.0.0.1:{_node.ClientPort}");
}
