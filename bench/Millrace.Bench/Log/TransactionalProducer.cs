using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Kafka.Wire;
using Millrace.Storage.Checksums;

namespace Millrace.Bench.Log;

/// <summary>
/// A producer that commits one transaction after another and costs next to nothing: the requests that clients send for a transaction (AddPartitionsToTxn,
/// Produce, EndTxn), each sent when the one before it is answered. librdkafka's own threads take the machine before either broker does.
/// </summary>
internal sealed class TransactionalProducer : IDisposable
{
    private const short AddVersion = 3;
    private const short ProduceVersion = 9;
    private const short EndVersion = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 30_000 };
    private readonly WireBuffer _request = new();
    private readonly string _id;
    private readonly string _topic;
    private readonly int _partition;
    private readonly int _records;
    private byte[] _answer = new byte[4096];
    private byte[] _batch = [];
    private long _producerId;
    private short _epoch;
    private int _sequence;
    private int _correlation;

    public TransactionalProducer(string brokers, string topic, int partition, int number, int records)
    {
        (_topic, _partition, _records) = (topic, partition, records);
        _id = "bench-wire-" + number.ToString(CultureInfo.InvariantCulture);
        _socket.Connect(IPAddress.Loopback, int.Parse(brokers.Split(':')[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Takes its producer id and prepares the batch that every transaction sends.</summary>
    public void Begin(ReadOnlySpan<byte> value)
    {
        // Asking for the coordinator makes Apache Kafka create the topic that it keeps transactions in.
        Until(() => Call<FindCoordinatorRequest, FindCoordinatorResponse>(
            ApiKey.FindCoordinator, 2, new FindCoordinatorRequest { Key = _id, KeyType = 1 }).ErrorCode);
        Until(() =>
        {
            var answer = Call<InitProducerIdRequest, InitProducerIdResponse>(
                ApiKey.InitProducerId, 3, new InitProducerIdRequest { TransactionalId = _id, TransactionTimeoutMs = 60_000 });
            (_producerId, _epoch) = (answer.ProducerId, answer.ProducerEpoch);
            return answer.ErrorCode;
        });
        using var builder = new RecordBatchBuilder
        {
            ProducerId = _producerId, ProducerEpoch = _epoch, BaseSequence = 0, Attributes = BatchAttributes.Transactional,
        };
        Span<byte> key = stackalloc byte[4];
        for (var i = 0; i < _records; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(key, i);
            builder.Add(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), key, value);
        }
        _batch = builder.Build();
    }

    public void Commit()
    {
        var add = new AddPartitionsToTxnRequest
        {
            TransactionalId = _id, ProducerId = _producerId, ProducerEpoch = _epoch,
            Topics = [new AddPartitionsToTxnRequest.AddPartitionsToTxnTopic { Name = _topic, Partitions = [_partition] }],
        };
        // Apache Kafka answers EndTxn before it has written the markers, and until then refuses the next transaction.
        Until(() => Call<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(ApiKey.AddPartitionsToTxn, AddVersion, add).ResultsByTopic[0].ResultsByPartition[0].ErrorCode);
        BinaryPrimitives.WriteInt32BigEndian(_batch.AsSpan(53), _sequence);
        BinaryPrimitives.WriteUInt32BigEndian(_batch.AsSpan(17), Crc32C.Compute(_batch.AsSpan(RecordBatch.CrcFrom)));
        _sequence += _records;
        Check(Call<ProduceRequest, ProduceResponse>(ApiKey.Produce, ProduceVersion, new ProduceRequest
        {
            TransactionalId = _id, Acks = -1, TimeoutMs = 30_000,
            Topics = [new ProduceRequest.TopicProduceData { Name = _topic, Partitions = [new ProduceRequest.PartitionProduceData { Index = _partition, Records = _batch }] }],
        }).Responses[0].PartitionResponses[0].ErrorCode);
        Check(Call<EndTxnRequest, EndTxnResponse>(ApiKey.EndTxn, EndVersion, new EndTxnRequest
        {
            TransactionalId = _id, ProducerId = _producerId, ProducerEpoch = _epoch, Committed = true,
        }).ErrorCode);
    }

    public void Dispose()
    {
        _socket.Dispose();
        _request.Dispose();
    }

    private static void Until(Func<ErrorCode> call)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var error = call();
            if (error == ErrorCode.None)
                return;
            if (error is not (ErrorCode.CoordinatorNotAvailable or ErrorCode.ConcurrentTransactions or ErrorCode.NotCoordinator or ErrorCode.CoordinatorLoadInProgress)
                || TimeProvider.System.GetElapsedTime(started) > Patience)
            {
                Check(error);
            }
            Thread.Sleep(1);
        }
    }

    private static void Check(ErrorCode error)
    {
        if (error != ErrorCode.None)
            throw new InvalidOperationException($"the broker answered {error}");
    }

    private TResponse Call<TRequest, TResponse>(ApiKey key, short version, TRequest request)
        where TRequest : IWireStruct
        where TResponse : class, IWireStruct, new()
    {
        var flexible = ApiVersionTable.Find(key)!.IsFlexible(version);
        _request.Dispose();
        _request.Extend(4);
        var writer = new WireWriter(_request, version, flexible);
        var (number, correlation) = ((short)key, ++_correlation);
        writer.Int16(ref number);
        writer.Int16(ref version);
        writer.Int32(ref correlation);
        writer.ClassicNullableString("bench");
        writer.NoTags();
        request.Serialize(ref writer);
        writer.NoTags();
        var frame = _request.ToArray();
        BinaryPrimitives.WriteInt32BigEndian(frame, frame.Length - 4);
        for (var rest = frame.AsSpan(); rest.Length > 0;)
            rest = rest[_socket.Send(rest)..];
        Receive(4);
        var length = BinaryPrimitives.ReadInt32BigEndian(_answer);
        if (_answer.Length < length)
            _answer = new byte[length];
        Receive(length);
        return WireReader.Read<TResponse>(_answer.AsMemory(flexible ? 5 : 4, length - (flexible ? 5 : 4)), version, flexible);
    }

    private void Receive(int count)
    {
        for (var at = 0; at < count;)
        {
            var read = _socket.Receive(_answer.AsSpan(at, count - at));
            if (read == 0)
                throw new InvalidOperationException("the broker closed the connection");
            at += read;
        }
    }
}
