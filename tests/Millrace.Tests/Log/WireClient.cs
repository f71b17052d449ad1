using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Kafka.Wire;

namespace Millrace.Tests.Log;

internal enum FrameOutcome
{
    Answered,
    Closed,
    Waits,
}

/// <summary>A bare client: one request after another, or bytes as they are.</summary>
internal sealed class WireClient : IDisposable
{
    private readonly Socket _socket;
    private int _correlation;

    public WireClient(IPEndPoint endpoint)
    {
        _socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        _socket.Connect(endpoint);
    }

    public TResponse Call<TRequest, TResponse>(ApiKey key, short version, TRequest request)
        where TRequest : IWireStruct
        where TResponse : class, IWireStruct, new()
    {
        var correlation = Send(key, version, request);
        return Receive<TResponse>(key, version, correlation);
    }

    public int Send<TRequest>(ApiKey key, short version, TRequest request) where TRequest : IWireStruct
    {
        var correlation = ++_correlation;
        SendRaw(Frame(key, version, correlation, request));
        return correlation;
    }

    public static byte[] Frame<TRequest>(ApiKey key, short version, int correlation, TRequest request) where TRequest : IWireStruct
    {
        using var buffer = new WireBuffer();
        var flexible = ApiVersionTable.Find(key)?.IsFlexible(version) ?? false;
        buffer.Extend(4);
        var writer = new WireWriter(buffer, version, flexible);
        var k = (short)key;
        writer.Int16(ref k);
        writer.Int16(ref version);
        writer.Int32(ref correlation);
        writer.ClassicNullableString("test");
        writer.NoTags();
        request.Serialize(ref writer);
        writer.NoTags();
        var frame = buffer.ToArray();
        BinaryPrimitives.WriteInt32BigEndian(frame, frame.Length - 4);
        return frame;
    }

    public void SendRaw(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[_socket.Send(bytes)..];
    }

    public TResponse Receive<TResponse>(ApiKey key, short version, int correlation) where TResponse : class, IWireStruct, new()
    {
        var frame = ReceiveFrame() ?? throw new IOException("the broker closed the connection");
        Assert.Equal(correlation, BinaryPrimitives.ReadInt32BigEndian(frame));
        var flexible = ApiVersionTable.Find(key)!.IsFlexible(version);
        var headerTags = flexible && key != ApiKey.ApiVersions ? 1 : 0;
        return WireReader.Read<TResponse>(frame.AsMemory(4 + headerTags), version, flexible);
    }

    /// <summary>A frame without its length; null when the broker has closed the connection.</summary>
    public byte[]? ReceiveFrame()
    {
        var length = ReceiveExactly(4);
        return length is null ? null : ReceiveExactly(BinaryPrimitives.ReadInt32BigEndian(length));
    }

    /// <summary>Sends what may be no request at all and sees what becomes of it.</summary>
    public FrameOutcome Try(ReadOnlySpan<byte> frame, int waitMillis)
    {
        try
        {
            SendRaw(frame);
            if (!_socket.Poll(TimeSpan.FromMilliseconds(waitMillis), SelectMode.SelectRead))
                return FrameOutcome.Waits;
            return ReceiveFrame() is null ? FrameOutcome.Closed : FrameOutcome.Answered;
        }
        catch (SocketException)
        {
            return FrameOutcome.Closed;
        }
    }

    public void Dispose() => _socket.Dispose();

    public ProduceResponse.PartitionProduceResponse Produce(string topic, int partition, byte[] records, short acks = -1, short version = 9)
    {
        var response = Call<ProduceRequest, ProduceResponse>(ApiKey.Produce, version, Request(topic, partition, records, acks));
        return response.Responses[0].PartitionResponses[0];
    }

    public FetchResponse.PartitionData Fetch(
        string topic, int partition, long offset, int maxWait = 0, int minBytes = 1, int maxBytes = 1 << 20, sbyte isolation = 0)
    {
        var response = Call<FetchRequest, FetchResponse>(ApiKey.Fetch, 11, FetchOf(topic, partition, offset, maxWait, minBytes, maxBytes, isolation));
        return response.Responses[0].Partitions[0];
    }

    /// <summary>What a read_committed client gives its reader: all of a partition that it may see.</summary>
    public List<string> Committed(string topic, int partition)
    {
        var values = new List<string>();
        WalkCommitted(topic, partition, bytes => values.AddRange(Values(bytes.ToArray())));
        return values;
    }

    public delegate void BatchSeen(ReadOnlySpan<byte> bytes);

    /// <summary>Likewise, batch by batch.</summary>
    public void WalkCommitted(string topic, int partition, BatchSeen seen)
    {
        var aborting = new HashSet<long>();
        for (long offset = 0; ;)
        {
            var data = Fetch(topic, partition, offset, isolation: 1);
            Assert.Equal(ErrorCode.None, data.ErrorCode);
            if (data.Records.IsEmpty)
            {
                Assert.Equal(data.LastStableOffset, offset);
                return;
            }
            for (var rest = data.Records; rest.Length > 0;)
            {
                var batch = new RecordBatch(rest.Span);
                foreach (var aborted in data.AbortedTransactions!)
                {
                    if (aborted.ProducerId == batch.ProducerId && aborted.FirstOffset == batch.BaseOffset)
                        aborting.Add(batch.ProducerId);
                }
                if (batch.IsControl)
                    aborting.Remove(batch.ProducerId);
                else if (!batch.IsTransactional || !aborting.Contains(batch.ProducerId))
                    seen(rest.Span[..batch.TotalBytes]);
                offset = batch.LastOffset + 1;
                rest = rest[batch.TotalBytes..];
            }
        }
    }

    public static ProduceRequest Request(string topic, int partition, byte[] records, short acks) => new()
    {
        Acks = acks,
        TimeoutMs = 10_000,
        Topics = [new() { Name = topic, Partitions = [new() { Index = partition, Records = records }] }],
    };

    public static FetchRequest FetchOf(string topic, int partition, long offset, int maxWait, int minBytes, int maxBytes, sbyte isolation = 0) => new()
    {
        MaxWaitMs = maxWait,
        MinBytes = minBytes,
        MaxBytes = maxBytes,
        IsolationLevel = isolation,
        Topics = [new() { Topic = topic, Partitions = [new() { Partition = partition, FetchOffset = offset, PartitionMaxBytes = maxBytes }] }],
    };

    /// <summary>A batch of records with these values.</summary>
    public static byte[] Batch(params string[] values) => Batch(-1, -1, -1, values);

    public static byte[] Batch(long producerId, short epoch, int sequence, params string[] values)
    {
        using var builder = new RecordBatchBuilder { ProducerId = producerId, ProducerEpoch = epoch, BaseSequence = sequence };
        var time = 1000L;
        foreach (var value in values)
            builder.Add(time++, "key"u8, System.Text.Encoding.UTF8.GetBytes(value));
        return builder.Build();
    }

    /// <summary>The values in fetched batches, from an offset on.</summary>
    public static List<string> Values(ReadOnlyMemory<byte> records, long from = 0)
    {
        var values = new List<string>();
        for (var rest = records.Span; rest.Length > 0;)
        {
            var batch = new RecordBatch(rest);
            using var open = RecordBatch.OpenRecords(rest[..batch.TotalBytes], 1 << 26);
            var reader = new RecordReader(open.Bytes, batch.RecordCount);
            while (!batch.IsControl && reader.MoveNext())
            {
                if (batch.BaseOffset + reader.Current.OffsetDelta >= from)
                    values.Add(System.Text.Encoding.UTF8.GetString(reader.Current.Value));
            }
            rest = rest[batch.TotalBytes..];
        }
        return values;
    }

    private byte[]? ReceiveExactly(int count)
    {
        var bytes = new byte[count];
        for (var at = 0; at < count;)
        {
            int read;
            try
            {
                read = _socket.Receive(bytes.AsSpan(at));
            }
            catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionReset)
            {
                return null;
            }
            if (read == 0)
                return null;
            at += read;
        }
        return bytes;
    }
}
