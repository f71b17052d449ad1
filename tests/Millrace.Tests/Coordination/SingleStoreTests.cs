using Millrace.Coordination.Client;
using Millrace.Coordination.Node;

namespace Millrace.Tests.Coordination;

/// <summary>Tests with a store of one member and a client of it.</summary>
public abstract class SingleStoreTests : IAsyncLifetime
{
    private CoordinationNode _node = null!;

    private protected string Folder { get; } = Directory.CreateTempSubdirectory("millrace-store-").FullName;

    private protected CoordinationClient Client { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        _node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = Folder, ClientPort = 0, PeerPort = -1 });
        Client = new CoordinationClient([new Uri($"http://127.0.0.1:{_node.ClientPort}")]);
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        await _node.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
