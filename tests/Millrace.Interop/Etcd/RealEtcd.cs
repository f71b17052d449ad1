using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>One member of a real etcd on free ports of loopback.</summary>
internal sealed class RealEtcd : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("real-etcd").FullName;
    private readonly Process _process;

    private RealEtcd(string program, int client, int peer)
    {
        Endpoint = $"127.0.0.1:{client}";
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in new (string, string)[]
        {
            ("data-dir", _folder), ("listen-client-urls", $"http://{Endpoint}"), ("advertise-client-urls", $"http://{Endpoint}"),
            ("listen-peer-urls", $"http://127.0.0.1:{peer}"), ("initial-advertise-peer-urls", $"http://127.0.0.1:{peer}"),
            ("initial-cluster", $"default=http://127.0.0.1:{peer}"), ("log-level", "error"), ("logger", "zap"),
        })
        {
            start.ArgumentList.Add("--" + name);
            start.ArgumentList.Add(value);
        }
        _process = Process.Start(start)!;
        _process.OutputDataReceived += static (_, _) => { };
        _process.ErrorDataReceived += static (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The newest, from the engines; null where they are absent.</summary>
    public static string? Newest { get; } = Existing(Path.Combine(Repository.Engines ?? "/", "go", "etcd"));

    /// <summary>Debian's; null where it is not installed.</summary>
    public static string? Debian { get; } = Existing("/usr/bin/etcd");

    public string Endpoint { get; }

    public string Folder => _folder;

    public static async Task<RealEtcd> StartAsync(string program)
    {
        var etcd = new RealEtcd(program, FreePort(), FreePort());
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var client = new Coordination.Client.CoordinationClient([new Uri("http://" + etcd.Endpoint)]);
        while (true)
        {
            try
            {
                await client.GetAsync("health", patience.Token);
                return etcd;
            }
            catch (Coordination.Client.CoordinationException)
            {
                await Task.Delay(50, patience.Token);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    public static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private static string? Existing(string path) => File.Exists(path) ? path : null;
}
