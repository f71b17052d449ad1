using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Coordination.Client;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Grpc.Http2;
using Millrace.Coordination.Node;
using Millrace.Raft.Transport;

namespace Millrace.Interop.Etcd;

/// <summary>TLS as etcd has it: etcdctl's --cacert, --cert and --key, names in certificates as users, members that prove themselves to each other.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-tls").FullName;
    private readonly TestCertificates _certificates;

    public TlsTests() => _certificates = new TestCertificates(_folder);

    public static TheoryData<string> Programs => EtcdctlTests.Programs;

    public void Dispose()
    {
        _certificates.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Whoever connects and does not come to speak HTTP/2 is sent away, however far its handshake got; whoever speaks it stays.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_does_not_end_its_handshake_is_sent_away(bool isSecure)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var (certificate, key) = _certificates.Issue("server");
        var tls = TlsIdentity.Load(new TlsFiles { Certificate = certificate, Key = key, Ca = _certificates.Ca }, "test");
        await using var server = new GrpcServer(new IPEndPoint(IPAddress.Loopback, 0), 1000, TimeProvider.System, NullLoggerFactory.Instance)
        {
            StatusOf = static _ => null, Pages = static (_, _) => throw new NotSupportedException(),
        };
        await using var listener = new Http2Listener(
            new IPEndPoint(IPAddress.Loopback, 0), new ConnectionLimits { HandshakeTimeout = TimeSpan.FromMilliseconds(300) }, server, NullLogger.Instance, isSecure ? tls : null);

        async Task<Stream> ConnectAsync()
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPAddress.Loopback, listener.Port, patience.Token);
            return new NetworkStream(socket, ownsSocket: true);
        }

        async Task<Stream> SecureAsync()
        {
            var stream = await ConnectAsync();
            if (!isSecure)
                return stream;
            var secure = new SslStream(stream);
            await secure.AuthenticateAsClientAsync(tls.ForClient("localhost"), patience.Token);
            return secure;
        }

        var preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();
        await using var speaks = await SecureAsync();
        await speaks.WriteAsync((byte[])[.. preface, 0, 0, 0, 4, 0, 0, 0, 0, 0], patience.Token);
        await using var silent = await ConnectAsync();
        await using var half = await ConnectAsync();
        // The beginning of a record of TLS, or of HTTP/2's first words.
        await half.WriteAsync(isSecure ? (byte[])[0x16, 3, 1, 2, 0, 1, 0] : preface[..5], patience.Token);
        await using var idle = await SecureAsync();
        foreach (var stream in new[] { silent, half, idle })
            await EndsAsync(stream, patience.Token);

        await speaks.WriteAsync((byte[])[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], patience.Token);
        var read = new List<byte>();
        var buffer = new byte[1000];
        while (read.Count < 8 || !read[^8..].SequenceEqual((byte[])[1, 2, 3, 4, 5, 6, 7, 8]))
        {
            var count = await speaks.ReadAsync(buffer, patience.Token);
            Assert.True(count > 0, "who speaks HTTP/2 was sent away");
            read.AddRange(buffer[..count]);
        }
    }

    private static async Task EndsAsync(Stream stream, CancellationToken patience)
    {
        var buffer = new byte[1000];
        try
        {
            while (await stream.ReadAsync(buffer, patience) > 0)
            {
                // What a server says first.
            }
        }
        catch (IOException)
        {
            // Reset, which is an end too.
        }
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Etcdctl_works_over_tls_and_who_a_certificate_names_is_the_user(string program)
    {
        var server = _certificates.Issue("server");
        var root = _certificates.Issue("root");
        var ann = _certificates.Issue("ann");
        await using var node = await CoordinationNode.StartAsync(new CoordinationOptions
        {
            // etcdctl waits two seconds for a password to be checked, which a busy machine may need for the usual cost.
            DataFolder = Path.Combine(_folder, "data"), ClientPort = 0, PeerPort = -1, BcryptCost = 4,
            ClientTls = new TlsFiles { Certificate = server.Certificate, Key = server.Key, Ca = _certificates.Ca, RequireClientCertificate = true },
        });
        var ctl = new EtcdctlRunner(program, $"https://127.0.0.1:{node.ClientPort}");
        string As((string Certificate, string Key) who) => $"--cacert={_certificates.Ca} --cert={who.Certificate} --key={who.Key} ";
        await ctl.ExpectAsync(As(root) + "put a 1", "OK");
        await ctl.ExpectAsync(As(root) + "get a", "a\n1");
        await using (var watch = ctl.Start(As(ann) + "watch a"))
        {
            await Task.Delay(500);
            await ctl.ExpectAsync(As(root) + "put a 2", "OK");
            await watch.ExpectLinesAsync("PUT", "a", "2");
        }
        Assert.NotEqual(0, (await ctl.RunAsync("--command-timeout=2s --dial-timeout=1s get a")).Code);
        Assert.NotEqual(0, (await ctl.RunAsync($"--command-timeout=2s --dial-timeout=1s --cacert={_certificates.Ca} get a")).Code);

        await ctl.ExpectAsync(As(root) + "user add root:pw", "User root created");
        await ctl.ExpectAsync(As(root) + "user grant-role root root", "Role root is granted to user root");
        await ctl.ExpectAsync(As(root) + "role add r", "Role r created");
        await ctl.ExpectAsync(As(root) + "role grant-permission r readwrite own/ --prefix", "Role r updated");
        await ctl.ExpectAsync(As(root) + "user add ann --no-password", "User ann created");
        await ctl.ExpectAsync(As(root) + "user grant-role ann r", "Role r is granted to user ann");
        await ctl.ExpectAsync(As(root) + "auth enable", "Authentication Enabled");
        await ctl.ExpectAsync(As(ann) + "put own/x 1", "OK");
        await ctl.ExpectAsync(As(ann) + "put a 3", "!etcdserver: permission denied");
        await ctl.ExpectAsync(As(ann) + "--user root:pw put a 3", "OK");
        await ctl.ExpectAsync(As(root) + "get a", "a\n3");

        using var ours = new CoordinationClient(
            [new Uri($"https://127.0.0.1:{node.ClientPort}")], tls: new TlsFiles { Certificate = root.Certificate, Key = root.Key, Ca = _certificates.Ca });
        Assert.Equal("3", (await ours.GetAsync("a", default))!.Text);
        using var stranger = new TestCertificates(_folder, "other");
        using var wary = new CoordinationClient(
            [new Uri($"https://127.0.0.1:{node.ClientPort}")], tls: new TlsFiles { Certificate = root.Certificate, Key = root.Key, Ca = stranger.Ca });
        Assert.True((await Assert.ThrowsAsync<CoordinationException>(() => wary.GetAsync("a", default))).IsUnavailable);
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task A_renewed_certificate_holds_from_the_next_handshake_and_pages_are_served_over_tls(string program)
    {
        var server = _certificates.Issue("server");
        using var next = new TestCertificates(_folder, "next");
        await using var node = await CoordinationNode.StartAsync(new CoordinationOptions
        {
            DataFolder = Path.Combine(_folder, "renewed"), ClientPort = 0, PeerPort = -1, ClientTls = new TlsFiles { Certificate = server.Certificate, Key = server.Key },
        });
        var ctl = new EtcdctlRunner(program, $"https://127.0.0.1:{node.ClientPort}");
        await ctl.ExpectAsync($"--cacert={_certificates.Ca} put a 1", "OK");
        using (var http = new HttpClient(new HttpClientHandler { ServerCertificateCustomValidationCallback = static (_, _, _, _) => true }))
        {
            Assert.Contains("\"true\"", await http.GetStringAsync(new Uri($"https://127.0.0.1:{node.ClientPort}/health")), StringComparison.Ordinal);
            // As curl asks where both ends know HTTP/2.
            foreach (var (page, status) in new[] { ("metrics", 200), ("nothing", 404) })
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, $"https://127.0.0.1:{node.ClientPort}/{page}")
                {
                    Version = System.Net.HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                };
                using var answer = await http.SendAsync(request);
                Assert.Equal(status, (int)answer.StatusCode);
                Assert.Equal("text/plain", answer.Content.Headers.ContentType?.MediaType);
                Assert.NotEmpty(await answer.Content.ReadAsStringAsync());
            }
        }
        // In the same files. Where one is no good, the old ones hold on.
        var renewed = next.Issue("server");
        Assert.Equal(server, renewed);
        await ctl.ExpectAsync($"--cacert={next.Ca} get a", "a\n1");
        Assert.NotEqual(0, (await ctl.RunAsync($"--command-timeout=2s --dial-timeout=1s --cacert={_certificates.Ca} get a")).Code);
        var good = await File.ReadAllTextAsync(server.Key);
        await File.WriteAllTextAsync(server.Key, "no key");
        await ctl.ExpectAsync($"--cacert={next.Ca} get a", "a\n1");
        await File.WriteAllTextAsync(server.Key, good);
    }

    [Fact]
    public async Task Members_prove_themselves_to_each_other_and_strangers_stay_outside()
    {
        var member = _certificates.Issue("member");
        using var others = new TestCertificates(_folder, "others");
        var stranger = others.Issue("stranger");
        string[] words =
        [
            "--cert-file", member.Certificate, "--key-file", member.Key, "--peer-cert-file", member.Certificate, "--peer-key-file", member.Key,
            "--peer-trusted-ca-file", _certificates.Ca,
        ];
        await using var group = ThreeProcesses.StartWith(words, "a", "b", "c");
        using var client = new CoordinationClient(
            [.. group.Names.Select(n => new Uri("https://" + group.EndpointOf(n)))], tls: new TlsFiles { Ca = _certificates.Ca });
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while (true)
        {
            try
            {
                await client.PutAsync("over", "tls", patience.Token);
                break;
            }
            catch (CoordinationException error)
            {
                Assert.False(patience.IsCancellationRequested, error.Message + "\n" + string.Join('\n', group.Said));
                await Task.Delay(100);
            }
        }
        for (var i = 0; i < 200; i++)
            await client.PutAsync("k" + i, new string('x', 5000), patience.Token);
        Assert.Equal(201, (await client.ListAsync("", patience.Token)).Keys.Count);
        // Who has no certificate from the same root, or none, is told nothing.
        var peer = new Uri(group.PeerUrlOf("a"));
        foreach (var tls in new[] { null, TlsIdentity.Load(new TlsFiles { Certificate = stranger.Certificate, Key = stranger.Key, Ca = _certificates.Ca }, "test") })
            await Assert.ThrowsAnyAsync<IOException>(() => PeerQuestion.AskAsync(peer.Host, peer.Port, new byte[] { 0 }, tls, patience.Token));
    }
}
