using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace Millrace.Tests.Query;

/// <summary>A client that sends what it is told, right or wrong, and reads message by message.</summary>
internal sealed class RawClient : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly TcpClient _client = new();
    private readonly NetworkStream _stream;

    private RawClient(int port)
    {
        _client.Connect("127.0.0.1", port);
        _stream = _client.GetStream();
    }

    public int ProcessId { get; private set; }

    public int Secret { get; private set; }

    public Dictionary<string, string> Settings { get; } = [];

    public static RawClient Raw(int port) => new(port);

    /// <summary>Connected and ready.</summary>
    public static async Task<RawClient> OpenAsync(int port, string user = "tester", string database = "millrace")
    {
        var client = new RawClient(port);
        await client.SendAsync(Startup(("user", user), ("database", database)));
        while (await client.ReadAsync() is var (tag, body))
        {
            if (tag == 'K')
                (client.ProcessId, client.Secret) = (BinaryPrimitives.ReadInt32BigEndian(body), BinaryPrimitives.ReadInt32BigEndian(body.AsSpan(4)));
            if (tag == 'S')
            {
                var parts = Encoding.UTF8.GetString(body).Split('\0');
                client.Settings[parts[0]] = parts[1];
            }
            if (tag == 'Z')
                return client;
            Assert.NotEqual('E', tag);
        }
        throw new InvalidOperationException("the server closed the connection");
    }

    public static byte[] Startup(params (string Name, string Value)[] settings)
    {
        var body = new List<byte> { 0, 3, 0, 0 };
        foreach (var (name, value) in settings)
            body.AddRange(Encoding.UTF8.GetBytes($"{name}\0{value}\0"));
        body.Add(0);
        return [.. Length(body.Count + 4), .. body];
    }

    public static byte[] Message(char tag, params ReadOnlySpan<byte> body) => [(byte)tag, .. Length(body.Length + 4), .. body];

    public static byte[] Query(string sql) => Message('Q', Encoding.UTF8.GetBytes(sql + "\0"));

    public static byte[] Parse(string name, string sql) => Message('P', [.. Encoding.UTF8.GetBytes($"{name}\0{sql}\0"), 0, 0]);

    public static byte[] Bind(string portal, string statement) => Message('B', [.. Encoding.UTF8.GetBytes($"{portal}\0{statement}\0"), 0, 0, 0, 0, 0, 0]);

    public static byte[] Execute(string portal, int rows) => Message('E', [.. Encoding.UTF8.GetBytes(portal + "\0"), .. Length(rows)]);

    public static byte[] Sync() => Message('S');

    public async Task SendAsync(params byte[][] messages) => await _stream.WriteAsync(messages.SelectMany(m => m).ToArray());

    /// <summary>The next message, or null when the server has closed the connection.</summary>
    public async Task<(char Tag, byte[] Body)?> ReadAsync()
    {
        using var limit = new CancellationTokenSource(Deadline);
        var header = new byte[5];
        try
        {
            await _stream.ReadExactlyAsync(header, limit.Token);
            var body = new byte[BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(1)) - 4];
            await _stream.ReadExactlyAsync(body, limit.Token);
            return ((char)header[0], body);
        }
        catch (IOException)
        {
            return null;
        }
    }

    public async Task<int> ReadByteAsync()
    {
        using var limit = new CancellationTokenSource(Deadline);
        var one = new byte[1];
        return await _stream.ReadAsync(one, limit.Token) == 0 ? -1 : one[0];
    }

    /// <summary>The tags up to ReadyForQuery, with an error's state behind its tag and a command's tag behind its own.</summary>
    public async Task<string> AnswersAsync()
    {
        var answers = new StringBuilder();
        while (await ReadAsync() is var (tag, body))
        {
            answers.Append(tag);
            if (tag == 'E')
                answers.Append('(').Append(Field(body, 'C')).Append(')');
            if (tag == 'C')
                answers.Append('(').Append(Encoding.UTF8.GetString(body).TrimEnd('\0')).Append(')');
            if (tag != 'Z')
                continue;
            answers.Append((char)body[0]);
            return answers.ToString();
        }
        return answers.Append("closed").ToString();
    }

    public static string? Field(byte[] report, char code) =>
        Encoding.UTF8.GetString(report).Split('\0').FirstOrDefault(f => f.Length > 0 && f[0] == code)?[1..];

    public void Dispose() => _client.Dispose();

    private static byte[] Length(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }
}
