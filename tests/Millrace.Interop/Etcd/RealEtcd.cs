using System.Diagnostics;
using Millrace.Bench.Running;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>One member of a real etcd on free ports of loopback.</summary>
internal sealed class RealEtcd : IAsyncDisposable
{
    private readonly string _folder;
    private readonly Process _process;

    private RealEtcd(string program, string folder, int client, int peer, string name = "default", string? cluster = null, params string[] more)
    {
        _folder = folder;
        Endpoint = $"127.0.0.1:{client}";
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (option, value) in new (string, string)[]
        {
            ("data-dir", Path.Combine(_folder, "data")), ("listen-client-urls", $"http://{Endpoint}"), ("advertise-client-urls", $"http://{Endpoint}"),
            ("listen-peer-urls", $"http://127.0.0.1:{peer}"), ("initial-advertise-peer-urls", $"http://127.0.0.1:{peer}"),
            ("name", name), ("initial-cluster", cluster ?? $"{name}=http://127.0.0.1:{peer}"), ("log-level", "error"), ("logger", "zap"),
        })
        {
            start.ArgumentList.Add("--" + option);
            start.ArgumentList.Add(value);
        }
        foreach (var word in more)
            start.ArgumentList.Add(word);
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

    public static Task<RealEtcd> StartAsync(string program, params string[] more) =>
        ReadyAsync(new RealEtcd(program, Directory.CreateTempSubdirectory("real-etcd").FullName, LoopbackPorts.Take(1)[0], LoopbackPorts.Take(1)[0], more: more));

    /// <summary>Members of one group, all of them ready.</summary>
    public static async Task<RealEtcd[]> StartGroupAsync(string program, params string[] names)
    {
        var peers = names.Select(_ => LoopbackPorts.Take(1)[0]).ToArray();
        var cluster = string.Join(',', names.Zip(peers, static (name, peer) => $"{name}=http://127.0.0.1:{peer}"));
        var members = names.Zip(peers, (name, peer) =>
            new RealEtcd(program, Directory.CreateTempSubdirectory("real-etcd").FullName, LoopbackPorts.Take(1)[0], peer, name, cluster)).ToArray();
        return await Task.WhenAll(members.Select(ReadyAsync));
    }

    /// <summary>From a snapshot, by the program that restores those of this etcd.</summary>
    public static async Task<RealEtcd> RestoreAsync(string program, string restorer, string snapshot)
    {
        var folder = Directory.CreateTempSubdirectory("real-etcd").FullName;
        var peer = LoopbackPorts.Take(1)[0];
        var start = new ProcessStartInfo(restorer) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in new[]
        {
            "snapshot", "restore", snapshot, "--name", "default", "--data-dir", Path.Combine(folder, "data"),
            "--initial-cluster", $"default=http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{peer}",
        })
            start.ArgumentList.Add(word);
        start.Environment["ETCDCTL_API"] = "3";
        using (var restore = Process.Start(start)!)
        {
            var said = await Task.WhenAll(restore.StandardOutput.ReadToEndAsync(), restore.StandardError.ReadToEndAsync());
            await restore.WaitForExitAsync();
            Assert.True(restore.ExitCode == 0, string.Concat(said));
        }
        return await ReadyAsync(new RealEtcd(program, folder, LoopbackPorts.Take(1)[0], peer));
    }

    private static async Task<RealEtcd> ReadyAsync(RealEtcd etcd)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var client = new Coordination.Client.CoordinationClient([new Uri("http://" + etcd.Endpoint)]);
        while (true)
        {
            try
            {
                await client.GetAsync("health", patience.Token);
                return etcd;
            }
            catch (Coordination.Client.CoordinationException refused) when (refused.Message.Contains("user name is empty", StringComparison.Ordinal))
            {
                return etcd; // It serves, and wants to know whom.
            }
            catch (Coordination.Client.CoordinationException)
            {
                await Task.Delay(50, patience.Token);
            }
        }
    }

    /// <summary>Its folder stays until it is disposed.</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string? Existing(string path) => File.Exists(path) ? path : null;
}
