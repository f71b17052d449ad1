using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>A group of real processes, as `millrace cluster start` runs them, on free ports of loopback.</summary>
internal sealed class ThreeProcesses : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-group").FullName;
    private readonly Dictionary<string, Process> _running = [];
    private readonly Dictionary<string, (int Client, int Peer)> _ports = [];
    private readonly ConcurrentQueue<string> _said = new();
    private string _members = "";
    private string[] _more = [];

    public string Endpoints => string.Join(',', _ports.Values.Select(p => $"127.0.0.1:{p.Client}"));

    public IEnumerable<string> Names => _ports.Keys;

    public string EndpointOf(string name) => $"127.0.0.1:{_ports[name].Client}";

    public string PeerUrlOf(string name) => $"http://127.0.0.1:{_ports[name].Peer}";

    public string EndpointsBut(string name) => string.Join(',', _ports.Where(p => p.Key != name).Select(p => $"127.0.0.1:{p.Value.Client}"));

    /// <summary>All lines that members printed or logged.</summary>
    public IEnumerable<string> Said => _said;

    public IEnumerable<Uri> Addresses => _ports.Values.Select(p => new Uri($"http://127.0.0.1:{p.Client}"));

    public string FolderOf(string name) => Path.Combine(_folder, name);

    public int PidOf(string name) => _running[name].Id;

    public static ThreeProcesses Start(params string[] names) => StartWith([], names);

    /// <param name="more">Words on every member's command line.</param>
    /// <param name="names">Of the members.</param>
    public static ThreeProcesses StartWith(string[] more, params string[] names)
    {
        var group = new ThreeProcesses { _more = more };
        foreach (var name in names)
            group._ports[name] = (FreePort(), FreePort());
        group._members = string.Join(',', group._ports.Select(p => $"{p.Key}=127.0.0.1:{p.Value.Peer}"));
        foreach (var name in names)
            group.StartMember(name);
        return group;
    }

    /// <summary>Gives a member that is to be added its ports.</summary>
    public void Prepare(string name) => _ports[name] = (FreePort(), FreePort());

    /// <summary>Starts a prepared member once the group has added it.</summary>
    public void Join(string name) => StartMember(name, $"{_members},{name}=127.0.0.1:{_ports[name].Peer}", "--join");

    public void StartMember(string name) => StartMember(name, _members);

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync(string name)
    {
        _running.Remove(name, out var process);
        process!.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in _running.Keys.ToArray())
            await KillAsync(name);
        Directory.Delete(_folder, recursive: true);
    }

    private void StartMember(string name, string members, params string[] more)
    {
        var program = Path.Combine(Repository.Root, "artifacts", "bin", "Millrace", "release", "Millrace.dll");
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
            ArgumentList =
            {
                program, "cluster", "start", "--name", name, "--data", Path.Combine(_folder, name), "--listen", EndpointOf(name),
                "--members", members,
            },
        };
        foreach (var word in _more.Concat(more))
            start.ArgumentList.Add(word);
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => _said.Enqueue($"{name}: {line.Data}");
        process.ErrorDataReceived += (_, line) => _said.Enqueue($"{name}: {line.Data}");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _running[name] = process;
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
