package penstock.stream;

/** Where a row of {@code penstock.stream.sink.outgoing} has what; the record's own columns stand behind these. */
final class Columns {
    static final int PARTITION = 0;
    static final int OFFSET = 1;
    static final int RUN = 2;
    static final int ATTEMPT = 3;
    /** Whether the message is one of its run's, and not a replay, whose original was counted. */
    static final int COUNTED = 4;
    static final int REJECTED = 5;
    /** What is to be published, or null. */
    static final int LETTER = 6;
    /** The item whose dead letter the message resolves, or null. */
    static final int RESOLVED_ITEM = 7;
    static final int DELETED = 8;
    /** Microseconds since 1970. */
    static final int WRITE_TIME = 9;
    static final int RECORD = 10;

    static final int LETTER_FIELDS = 4;
    static final int LETTER_TOPIC = 0;
    static final int LETTER_KEY = 1;
    static final int LETTER_VALUE = 2;
    static final int LETTER_HEADERS = 3;

    private Columns() {}
}
