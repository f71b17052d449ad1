using System.Runtime.InteropServices;

namespace Millrace.Kafka.Clients;

/// <summary>The part of librdkafka's C API (rdkafka.h, 2.0 and later) that the batch consumer calls.</summary>
internal static unsafe class Librdkafka
{
    public const int AssignPartitions = -175;
    public const int RevokePartitions = -174;
    public const int PartitionEof = -191;
    public const int ConsumerType = 1;
    public const int ConfigurationOk = 0;
    private const string Library = "librdkafka";

    [DllImport(Library, EntryPoint = "rd_kafka_conf_new")]
    public static extern nint ConfigurationNew();

    [DllImport(Library, EntryPoint = "rd_kafka_conf_destroy")]
    public static extern void ConfigurationDestroy(nint configuration);

    [DllImport(Library, EntryPoint = "rd_kafka_conf_set")]
    public static extern int ConfigurationSet(
        nint configuration, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string value,
        byte* error, nuint errorSize);

    [DllImport(Library, EntryPoint = "rd_kafka_conf_set_opaque")]
    public static extern void ConfigurationSetOpaque(nint configuration, nint opaque);

    [DllImport(Library, EntryPoint = "rd_kafka_conf_set_rebalance_cb")]
    public static extern void ConfigurationSetRebalance(
        nint configuration, delegate* unmanaged[Cdecl]<nint, int, PartitionList*, nint, void> callback);

    [DllImport(Library, EntryPoint = "rd_kafka_conf_set_log_cb")]
    public static extern void ConfigurationSetLog(nint configuration, delegate* unmanaged[Cdecl]<nint, int, byte*, byte*, void> callback);

    [DllImport(Library, EntryPoint = "rd_kafka_new")]
    public static extern nint New(int type, nint configuration, byte* error, nuint errorSize);

    [DllImport(Library, EntryPoint = "rd_kafka_opaque")]
    public static extern nint Opaque(nint handle);

    [DllImport(Library, EntryPoint = "rd_kafka_destroy")]
    public static extern void Destroy(nint handle);

    [DllImport(Library, EntryPoint = "rd_kafka_poll_set_consumer")]
    public static extern int PollSetConsumer(nint handle);

    [DllImport(Library, EntryPoint = "rd_kafka_queue_get_consumer")]
    public static extern nint QueueGetConsumer(nint handle);

    [DllImport(Library, EntryPoint = "rd_kafka_queue_destroy")]
    public static extern void QueueDestroy(nint queue);

    [DllImport(Library, EntryPoint = "rd_kafka_consume_batch_queue")]
    public static extern nint ConsumeBatch(nint queue, int timeoutMillis, Message** messages, nuint count);

    [DllImport(Library, EntryPoint = "rd_kafka_message_destroy")]
    public static extern void MessageDestroy(Message* message);

    [DllImport(Library, EntryPoint = "rd_kafka_message_timestamp")]
    public static extern long MessageTimestamp(Message* message, int* type);

    [DllImport(Library, EntryPoint = "rd_kafka_message_errstr")]
    public static extern byte* MessageError(Message* message);

    [DllImport(Library, EntryPoint = "rd_kafka_message_headers")]
    public static extern int MessageHeaders(Message* message, nint* headers);

    [DllImport(Library, EntryPoint = "rd_kafka_header_get_all")]
    public static extern int HeaderAt(nint headers, nuint index, byte** name, byte** value, nuint* size);

    [DllImport(Library, EntryPoint = "rd_kafka_topic_name")]
    public static extern byte* TopicName(nint topic);

    [DllImport(Library, EntryPoint = "rd_kafka_topic_partition_list_new")]
    public static extern PartitionList* PartitionListNew(int size);

    [DllImport(Library, EntryPoint = "rd_kafka_topic_partition_list_add")]
    public static extern TopicPartition* PartitionListAdd(
        PartitionList* list, [MarshalAs(UnmanagedType.LPUTF8Str)] string topic, int partition);

    [DllImport(Library, EntryPoint = "rd_kafka_topic_partition_list_destroy")]
    public static extern void PartitionListDestroy(PartitionList* list);

    [DllImport(Library, EntryPoint = "rd_kafka_subscribe")]
    public static extern int Subscribe(nint handle, PartitionList* topics);

    [DllImport(Library, EntryPoint = "rd_kafka_assign")]
    public static extern int Assign(nint handle, PartitionList* partitions);

    [DllImport(Library, EntryPoint = "rd_kafka_commit")]
    public static extern int Commit(nint handle, PartitionList* offsets, int asynchronous);

    [DllImport(Library, EntryPoint = "rd_kafka_committed")]
    public static extern int Committed(nint handle, PartitionList* partitions, int timeoutMillis);

    [DllImport(Library, EntryPoint = "rd_kafka_pause_partitions")]
    public static extern int Pause(nint handle, PartitionList* partitions);

    [DllImport(Library, EntryPoint = "rd_kafka_resume_partitions")]
    public static extern int Resume(nint handle, PartitionList* partitions);

    [DllImport(Library, EntryPoint = "rd_kafka_get_watermark_offsets")]
    public static extern int CachedWatermarks(
        nint handle, [MarshalAs(UnmanagedType.LPUTF8Str)] string topic, int partition, long* low, long* high);

    [DllImport(Library, EntryPoint = "rd_kafka_query_watermark_offsets")]
    public static extern int QueryWatermarks(
        nint handle, [MarshalAs(UnmanagedType.LPUTF8Str)] string topic, int partition, long* low, long* high, int timeoutMillis);

    [DllImport(Library, EntryPoint = "rd_kafka_consumer_close")]
    public static extern int ConsumerClose(nint handle);

    [DllImport(Library, EntryPoint = "rd_kafka_err2str")]
    public static extern byte* ErrorText(int error);

    [DllImport(Library, EntryPoint = "rd_kafka_fatal_error")]
    public static extern int FatalError(nint handle, byte* error, nuint errorSize);

    /// <summary>rd_kafka_message_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Message
    {
        public int Error;
        public nint Topic;
        public int Partition;
        public byte* Payload;
        public nuint Length;
        public byte* Key;
        public nuint KeyLength;
        public long Offset;
        public nint Private;
    }

    /// <summary>rd_kafka_topic_partition_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct TopicPartition
    {
        public byte* Topic;
        public int Partition;
        public long Offset;
        public nint Metadata;
        public nuint MetadataSize;
        public nint Opaque;
        public int Error;
        public nint Private;
    }

    /// <summary>rd_kafka_topic_partition_list_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PartitionList
    {
        public int Count;
        public int Size;
        public TopicPartition* Elements;
    }
}
